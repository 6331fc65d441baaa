// bench:batches: times how long a training batch takes (16 volumes read from the store and augmented), in turn with the authors'
// DataLoader on the same scans; and the share of the augmentation in a training step. Reports medians of the times, and the median
// of the pairs' ratios.
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { messageOf, UserError } from '@ct-ensemble/core';
import { openVolumeStore, readBatches, type StoredScan } from '@ct-ensemble/data';
import { capture, openEngine, pythonEnvironment } from '@ct-ensemble/engine';
import { buildModel } from '@ct-ensemble/models';
import {
  type Augmentation,
  augment,
  drawAugmentation,
  type Draws,
  memberOptimizer,
  trainingStep,
  volumesTensor,
} from '@ct-ensemble/training';
import tf, { type Tensor, type Tensor2D } from '@tensorflow/tfjs';
import { describeMachine } from './machine.ts';
import { median } from './statistics.ts';

const usage = `Usage: nx run bench:batches -- [options]

  --data DIR     folder that holds folders of JPEG slices of 512 × 512 (default: phantom scans are made)
  --python PATH  a Python with torch, albumentations 1.3 and opencv 4 (default: python3)
  --pairs N      timed turns of each side (default: 3)
  --steps N      timed training steps with and without augmentation; 0 for none (default: 3)
`;

const BATCH = 16;
const augmentation: Augmentation = {
  rotate: 35,
  flipHorizontal: 0.5,
  flipVertical: [0.1, 0.1],
  blur: 0.2,
  gain: [{ factor: 1.5, probability: 0.2 }, { factor: 0.5, probability: 0.2 }], // prettier-ignore
};

/** Starts the authors' code in Python. Each request and each answer is one line of JSON. */
async function openAuthors(options: { python: string; folder: string; data?: string | undefined }) {
  const { python, folder, data } = options;
  const script = fileURLToPath(new URL('../authors-batches.py', import.meta.url));
  const child = spawn(python, [script, folder, ...(data ? [data] : [])], {
    env: pythonEnvironment(),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  child.on('error', () => undefined); // reported by answer(), which then gets no line
  child.stdin.on('error', () => undefined);
  const answer = async () => {
    const { value, done } = await lines.next();
    if (!done) return JSON.parse(value) as Record<string, unknown>;
    throw new UserError(`${python} did not answer`, {
      remedy: 'name a Python with torch, albumentations 1.3 and opencv-python-headless 4: --python PATH',
    });
  };
  return {
    /** Sizes of the scans, and versions of the libraries. */
    about: await answer(),
    /** Seconds of one batch of the DataLoader with this many workers. */
    async batch(workers: number): Promise<number> {
      child.stdin.write(`${JSON.stringify({ workers })}\n`);
      return (await answer())['seconds'] as number;
    },
    close: () => child.stdin.end(),
  };
}

const scans = Array.from({ length: BATCH }, (_, i): StoredScan => {
  const [key, volume] = [`scan ${i}`, String(i)];
  return { key, label: i % 2, split: 'train', name: key, volume, failure: null, kept: 64, slices: 64 };
});

/** A batch read from the store, and the random draws of its augmentation in an epoch. */
async function inputsOf(folder: string, epoch: number) {
  const store = openVolumeStore(join(folder, 'store'));
  const order = scans.map((_, i) => i);
  for await (const { data, shape } of readBatches({ scans, order, batchSize: BATCH, store })) {
    const [, depth, height, width] = shape;
    const key = { seed: 1, epoch, scans: scans.map((scan) => scan.key), depth, height, width };
    return { volumes: volumesTensor(data, shape), draws: drawAugmentation(augmentation, key) };
  }
  throw new Error('no batch');
}

/** Returns a function that reads and augments a batch; it returns the seconds of reading and the seconds in total. */
function openOurs(folder: string) {
  const step = capture(({ volumes, ...draws }: { volumes: Tensor } & Draws) => ({
    x: tf.mul(augment(volumes, draws), 1 / 255),
  }));
  return async (epoch: number) => {
    const started = performance.now();
    const { volumes, draws } = await inputsOf(folder, epoch);
    const read = performance.now();
    const { x } = await step({ volumes, ...draws });
    const ended = performance.now();
    tf.dispose([volumes, draws, x]);
    return { reading: (read - started) / 1000, all: (ended - started) / 1000 };
  };
}

interface Cost {
  seconds: number;
  cpuSeconds: number;
}

/** Times training steps of DenseNet-161 with and without augmentation, in turn. */
async function trainingSteps(folder: string, steps: number) {
  const model = buildModel('densenet161', { views: [64], classes: 2, seed: 1 });
  const optimizer = memberOptimizer(model, {
    optimizer: { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  });
  const step = trainingStep({ model, optimizer, loss: { name: 'focal', gamma: 1.5 } });
  const times: { augmented: Cost; plain: Cost }[] = [];
  for (let i = 0; i <= steps; i++) {
    const { volumes, draws } = await inputsOf(folder, i);
    const time = async (drawn: Draws): Promise<Cost> => {
      const labels = tf.tensor1d(scans.map(({ label }) => label!), 'int32'); // prettier-ignore
      const truth = tf.oneHot(labels, 2, 1, 0, 'float32') as Tensor2D;
      const rates = optimizer.rates(1e-4, 1);
      const started = performance.now();
      const before = process.cpuUsage();
      const { loss } = await step({ volumes, truth, rates, ...drawn });
      await loss.data();
      const seconds = (performance.now() - started) / 1000;
      const { user, system } = process.cpuUsage(before);
      tf.dispose([labels, truth, rates, loss]);
      return { seconds, cpuSeconds: (user + system) / 1e6 };
    };
    const pair = { augmented: await time(draws), plain: await time({}) };
    if (i > 0) times.push(pair); // the first step is traced and not counted
    tf.dispose([volumes, draws]);
  }
  return times;
}

async function bench(options: { data: string | undefined; python: string; pairs: number; steps: number }) {
  const { pairs, steps } = options;
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-bench-batches-'));
  const engine = await openEngine();
  let theirs: Awaited<ReturnType<typeof openAuthors>> | undefined;
  try {
    theirs = await openAuthors({ ...options, folder });
    const { cpu, cores } = await describeMachine();
    console.log(`${cpu}, ${cores} cores; ${engine.description}; ${JSON.stringify(theirs.about)}`);
    const ours = openOurs(folder);
    await ours(0); // the first step is traced and not counted
    const rows: { reading: number; all: number; peer: number; workers: number }[] = [];
    for (let pair = 1; pair <= pairs; pair++) {
      const peer = await theirs.batch(0);
      const runs: { reading: number; all: number }[] = [];
      for (let i = 0; i < 5; i++) runs.push(await ours(5 * pair + i));
      const workers = await theirs.batch(2);
      for (let i = 0; i < 5; i++) runs.push(await ours(100 + 5 * pair + i));
      const middle = (part: 'reading' | 'all') => median(runs.map((run) => run[part]));
      rows.push({ reading: middle('reading'), all: middle('all'), peer, workers });
      console.log(rows.at(-1));
    }
    const seconds = (value: number) => `${value.toFixed(3)} s`;
    const of = (part: keyof (typeof rows)[number]) => seconds(median(rows.map((row) => row[part])));
    const ratio = (part: 'peer' | 'workers') => median(rows.map((row) => row[part] / row.all)).toFixed(0);
    console.log('| what | here | peer | ratio |\n| --- | --- | --- | --- |');
    console.log(`| batch of 16; peer in its own process | ${of('all')} | ${of('peer')} | ${ratio('peer')} |`);
    console.log(`| the same; peer with 2 workers | ${of('all')} | ${of('workers')} | ${ratio('workers')} |`);
    const reading = median(rows.map((row) => row.peer / row.reading)).toFixed(0);
    console.log(
      `| of this outside the step: reading and draws | ${of('reading')} | ${of('peer')} | ${reading} |`,
    );
    if (steps === 0) return;
    const times = await trainingSteps(folder, steps);
    const textOf = (cost: keyof Cost) => {
      const [augmented, plain] = [times.map((t) => t.augmented[cost]), times.map((t) => t.plain[cost])];
      const share = median(times.map((_, i) => 1 - plain[i]! / augmented[i]!));
      return `${seconds(median(augmented))}, ${seconds(median(plain))} without, share ${(100 * share).toFixed(1)} %`;
    };
    console.log(`Training step of densenet161, batch 16: ${textOf('seconds')}`);
    console.log(`CPU time of the same: ${textOf('cpuSeconds')}`);
  } finally {
    theirs?.close();
    engine.close();
    await rm(folder, { recursive: true, force: true });
  }
}

try {
  const { values } = parseArgs({
    options: {
      data: { type: 'string' },
      python: { type: 'string', default: 'python3' },
      pairs: { type: 'string', default: '3' },
      steps: { type: 'string', default: '3' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) console.log(usage);
  else
    await bench({
      data: values.data,
      python: values.python,
      pairs: Number(values.pairs),
      steps: Number(values.steps),
    });
} catch (error) {
  console.error(error instanceof UserError ? `error: ${messageOf(error)}` : error);
  process.exitCode = 1;
}
