// The program behind `nx run engine:doctor [--json]`: prints the findings about this machine, with the time of a small
// training step. Exit code 1 if the engine does not run.
import { fileURLToPath } from 'node:url';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { DeviceInfo } from './devices/device.ts';
import { examine, lineOf, thisMachine } from './doctor/doctor.ts';
import { messageOf } from './errors.ts';

const { argv } = process;
const unknown = argv.slice(2).find((option) => option !== '--json');
if (unknown !== undefined) {
  console.error(`unknown option ${unknown} → the only option is --json`);
  process.exit(2);
}
const findings = await examine(thisMachine(step));
const runs = findings.every(({ state }) => state !== 'problem');
if (argv.includes('--json')) console.log(JSON.stringify({ runs, findings }, null, 2));
else for (const finding of findings) console.log(lineOf(finding));
process.exitCode = runs ? 0 : 1;

/** Runs the small step in a separate process, so that a crash of TensorFlow can be reported here. */
async function step({ kind, index }: DeviceInfo) {
  const program = fileURLToPath(new URL('./small-step-main.js', import.meta.url));
  const run = promisify(execFile)(process.execPath, [program, kind, String(index)], { timeout: 300_000 });
  try {
    return JSON.parse((await run).stdout.trim().split('\n').at(-1)!) as {
      milliseconds: number;
      description: string;
    };
  } catch (error) {
    const { stderr, signal } = error as { stderr?: string; signal?: string };
    const lastLine = stderr?.trim().split('\n').at(-1);
    throw new Error(lastLine || (signal ? `the step ended by ${signal}` : messageOf(error)));
  }
}
