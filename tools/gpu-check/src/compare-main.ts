// Trains the same small network in two processes, left and right, and compares each left member with the first right member.
//   node compare-main.js --left gpu:0,gpu:0 --right gpu:0 [--deterministic] [--memory-limit BYTES] [--tolerance RATIO]
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { messageOf, UserError } from '@ct-ensemble/core';
import type { Device } from '@ct-ensemble/engine';
import { differences } from './compare.ts';
import type { Trained } from './member-worker.ts';
import type { TrainOrder } from './train-main.ts';

try {
  await main();
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}

async function main() {
  const text = { type: 'string' } as const;
  const { values } = parseArgs({
    options: {
      left: text,
      right: text,
      'memory-limit': text,
      tolerance: text,
      steps: { ...text, default: '20' },
      deterministic: { type: 'boolean', default: false },
    },
  });
  const number = (name: 'memory-limit' | 'tolerance' | 'steps') => {
    const value = values[name];
    if (value === undefined || Number(value) > 0) return value === undefined ? undefined : Number(value);
    throw new UserError(`--${name} is ${value}`, { remedy: 'give a number above 0' });
  };
  const order = { deterministic: values.deterministic, steps: number('steps')! };
  const limit = number('memory-limit');
  const left = await train({ ...order, devices: devicesOf(values.left, limit) });
  const right = await train({ ...order, devices: devicesOf(values.right, limit) });
  for (const [side, members] of Object.entries({ left, right })) {
    for (const { description, notes, losses, seconds } of members) {
      const ends = `loss ${losses[0]} → ${losses.at(-1)}`;
      console.log(`${side}: ${description}, ${losses.length} steps in ${seconds.toFixed(2)} s, ${ends}`);
      for (const note of notes) console.log(`${side}: note: ${note}`);
    }
  }
  const found = differences(left, right[0]!, number('tolerance'));
  for (const difference of found) console.log(`DIFFERENT ${difference}`);
  if (found.length === 0)
    console.log(values.tolerance === undefined ? 'the same to the byte' : 'equal within the tolerance');
  process.exitCode = found.length === 0 ? 0 : 1;
}

function devicesOf(list: string | undefined, memoryLimit: number | undefined): Device[] {
  return (list ?? '').split(',').map((entry) => {
    const [, kind, index] = /^(cpu|gpu):(\d+)$/.exec(entry) ?? [];
    if (kind === 'gpu') {
      return { kind, index: Number(index), ...(memoryLimit === undefined ? {} : { memoryLimit }) };
    }
    if (kind === 'cpu') return { kind, index: Number(index), threads: 1 };
    throw new UserError(`"${entry}" is not a device`, {
      remedy: 'give --left and --right lists such as gpu:0,gpu:1',
    });
  });
}

async function train(order: TrainOrder): Promise<Trained[]> {
  const program = fileURLToPath(new URL('./train-main.js', import.meta.url));
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [program, JSON.stringify(order)]);
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Trained[];
  } catch (error) {
    const { stderr, signal } = error as { stderr?: string; signal?: string };
    throw new Error(stderr?.trim() || (signal ? `the training ended by ${signal}` : messageOf(error)), {
      cause: error,
    });
  }
}
