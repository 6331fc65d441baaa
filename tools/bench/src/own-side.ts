// This project's side of a comparison: a process with members in worker threads, as in training. Its argument is its settings as
// JSON. For each line `{ "steps": N }` on standard input all members do N steps at the same time, and one line answers.
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
/** Awaits the next message of each member; rejects with the error of a member that fails. */
const nextMessages = async <T>() =>
  (await Promise.all(members.map((member) => once(member, 'message')))).flat() as T[];
const print = (message: Hello | Answer) => console.log(JSON.stringify(message));

const [library] = await nextMessages<string>();
print({ library: `${library}, Node ${process.version}` });
for await (const line of createInterface({ input: process.stdin })) {
  const { steps } = JSON.parse(line) as { steps: number };
  const answers = nextMessages<StepResult>();
  for (const member of members) member.postMessage(steps);
  const results = await answers;
  const { user, system } = process.cpuUsage();
  print({
    values: results.flatMap(({ values }) => values),
    compute: results[0]!.compute,
    cpu: (user + system) / 1e6,
    peak: peakMemory(),
  });
}
for (const member of members) member.postMessage(0);

/** The process's peak resident memory in bytes (VmHWM); null where the system is not Linux. */
function peakMemory(): number | null {
  try {
    const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))!;
    return Number(kilobytes) * 1024;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}
