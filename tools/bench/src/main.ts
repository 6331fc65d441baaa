// Times a training step beside PyTorch's: in turn, in processes of their own, and tells the ratio.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { UserError } from '@ct-ensemble/core';
import { stepOptions } from './options.ts';

const options = stepOptions(process.argv.slice(2));
const shared = ['architecture', 'batch', 'size', 'depth', 'steps', 'threads'] as const;
const args = shared.flatMap((name) => [`--${name}`, String(options[name])]);
const own = [process.execPath, fileURLToPath(new URL('own-step.js', import.meta.url))] as const;
const peer = [options.python, fileURLToPath(new URL('../pytorch-step.py', import.meta.url))] as const;

interface Timing {
  library: string;
  /** Of each step; the first one is warming up. */
  seconds: number[];
}

const [ours, theirs]: [number[], number[]] = [[], []];
for (let round = 1; round <= options.rounds; round++) {
  for (const [program, into] of [
    [own, ours],
    [peer, theirs],
  ] as const) {
    const { library, seconds } = time(program);
    into.push(...seconds.slice(1));
    console.log(
      `round ${round}: ${library}: ${seconds.map((s) => s.toFixed(2)).join(' ')} s (first step: warm-up)`,
    );
  }
}
console.log(
  `${options.architecture}, batch ${options.batch}, ${options.depth}×${options.size}×${options.size}, ${options.threads} threads`,
);
console.log(
  `seconds a step, median: ${median(ours).toFixed(3)} here, ${median(theirs).toFixed(3)} PyTorch; fastest: ${Math.min(...ours).toFixed(3)}, ${Math.min(...theirs).toFixed(3)}`,
);
console.log(`PyTorch / here: ${(median(theirs) / median(ours)).toFixed(2)} (above 1: faster here)`);

function time([command, script]: readonly [string, string]): Timing {
  const { status, stdout, stderr } = spawnSync(command, [script, ...args], { encoding: 'utf8' });
  if (status !== 0) {
    throw new UserError(`${command} ${script} failed: ${stderr.trim().split('\n').at(-1)}`, {
      remedy: 'name a Python that has torch and torchvision with --python',
    });
  }
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as Timing;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
