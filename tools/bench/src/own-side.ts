// This project's side of a comparison, a process: members in worker threads, as in training. Its argument is its
// settings; each line `{ steps }` on standard input has all members do that many steps at once.
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Worker } from 'node:worker_threads';
import { codeOf } from '@ct-ensemble/core';
import type { StepResult } from './own-step.ts';
import type { Answer, Hello, Settings } from './settings.ts';

const settings = JSON.parse(process.argv[2]!) as Settings;
const members = Array.from(
  { length: settings.members },
  () => new Worker(new URL('./own-member.js', import.meta.url), { workerData: settings }),
);
/** What each member says next; rejects with the error of one that fails. */
const said = async <T>() =>
  (await Promise.all(members.map((member) => once(member, 'message')))).flat() as T[];
const say = (message: Hello | Answer) => console.log(JSON.stringify(message));

const [library] = await said<string>();
say({ library: `${library}, Node ${process.version}` });
for await (const line of createInterface({ input: process.stdin })) {
  const { steps } = JSON.parse(line) as { steps: number };
  const answers = said<StepResult>();
  for (const member of members) member.postMessage(steps);
  const results = await answers;
  const { user, system } = process.cpuUsage();
  say({
    values: results.flatMap(({ values }) => values),
    compute: results[0]!.compute,
    cpu: (user + system) / 1e6,
    peak: peakMemory(),
  });
}
for (const member of members) member.postMessage(0);

/** VmHWM: the most physical memory this process has held. Only Linux tells. */
function peakMemory(): number | null {
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
    return Number(kilobytes) * 1024;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}
