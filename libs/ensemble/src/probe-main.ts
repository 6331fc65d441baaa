// The program that measures one member in a process of its own; `probe` starts it. The last line of its output is the result.
import { messageOf } from '@ct-ensemble/core';
import { measureMember } from './planning/measure.ts';
import { probeSettings, type ProbeSettings } from './planning/probe-settings.ts';

const settings = probeSettings.parse(JSON.parse(process.argv[2] ?? '')) as ProbeSettings;
try {
  process.stdout.write(`\n${JSON.stringify({ result: await measureMember(settings) })}\n`);
} catch (error) {
  process.stdout.write(`\n${JSON.stringify({ error: messageOf(error) })}\n`);
  process.exitCode = 1;
}
