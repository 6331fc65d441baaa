// Times a training step beside PyTorch's: two processes that take turns, one step each, so that whatever else the
// machine does falls on both alike. Told is the median of the pairs' ratios.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { UserError } from '@ct-ensemble/core';
import { stepOptions } from './options.ts';

const options = stepOptions(process.argv.slice(2));
const shared = ['architecture', 'batch', 'size', 'depth', 'threads'] as const;
const args = shared.flatMap((name) => [`--${name}`, String(options[name])]);
const here = (path: string) => fileURLToPath(new URL(path, import.meta.url));

interface Runner {
  library: string;
  /** Has it do one step; returns seconds. */
  step: () => Promise<number>;
  end: () => void;
}

const ours = await start(process.execPath, here('own-step.js'));
const theirs = await start(options.python, here('../pytorch-step.py'));
const warmUp = 3;
const pairs: { own: number; peer: number }[] = [];
for (let turn = 0; turn < warmUp + options.steps; turn++) {
  const pair = { own: await ours.step(), peer: await theirs.step() };
  if (turn >= warmUp) pairs.push(pair);
  console.log(
    `${turn < warmUp ? 'warm-up' : 'pair'}: ${pair.own.toFixed(3)} s ${ours.library}, ${pair.peer.toFixed(3)} s ${theirs.library}`,
  );
}
ours.end();
theirs.end();
const { architecture, batch, depth, size, threads } = options;
console.log(
  `${architecture}, batch ${batch}, ${depth}×${size}×${size}, ${threads} threads, ${pairs.length} pairs`,
);
const of = (which: 'own' | 'peer') => median(pairs.map((pair) => pair[which])).toFixed(3);
console.log(`median seconds a step: ${of('own')} here, ${of('peer')} PyTorch`);
console.log(
  `median of PyTorch / here: ${median(pairs.map(({ own, peer }) => peer / own)).toFixed(2)} (above 1: faster here)`,
);

async function start(command: string, script: string): Promise<Runner> {
  const child = spawn(command, [script, ...args], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const failed = new Promise<never>((_, reject) => {
    const problem = () =>
      new UserError(`${command} ${script} ended early`, {
        remedy: 'name a Python that has torch and torchvision with --python',
      });
    child.on('error', () => reject(problem())).on('exit', (code) => code !== 0 && reject(problem()));
  });
  failed.catch(() => {});
  const read = async () => String((await Promise.race([lines.next(), failed])).value);
  return {
    library: await read(),
    step: async () => {
      child.stdin.write('\n');
      return (JSON.parse(await read()) as { seconds: number }).seconds;
    },
    end: () => child.stdin.end(),
  };
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
