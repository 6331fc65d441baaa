// bench:checkpoints: what a checkpoint inside an epoch costs the training. Blocks of training steps with one checkpoint and
// without take turns in one training; the difference of their times is what a checkpoint costs, written out while steps go on.
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf, randomStream, UserError } from '@ct-ensemble/core';
import type { StoredScan, VolumeStore } from '@ct-ensemble/data';
import { openEngine } from '@ct-ensemble/engine';
import { buildModel } from '@ct-ensemble/models';
import { lastCheckpoint, predictionStep, trainMember, type TrainOptions } from '@ct-ensemble/training';
import { describeMachine } from './machine.ts';
import { mean, median, quantile } from './statistics.ts';

const usage = `Usage: nx run bench:checkpoints -- [options]

  --architecture NAME  network (default: resnext50_32x4d)
  --volume DxHxW       volumes of so many voxels (default: 4x64x64)
  --batch N            volumes of a step (default: 2)
  --threads N          TensorFlow's threads (default: 2)
  --block SECONDS      least duration of a block of steps; the checkpoint is written within it (default: 10)
  --pairs N            pairs of blocks that are compared (default: 8)
  --gpu N              computes on this GPU instead of the CPU
  --folder DIR         where checkpoints are written (default: the system's folder for temporary files)
`;

interface Settings {
  architecture: string;
  /** Depth, height, width. */
  volume: [number, number, number];
  batch: number;
  threads: number;
  block: number;
  pairs: number;
  gpu: number | undefined;
  folder: string;
}

/** One block of steps. */
interface Block {
  withCheckpoint: boolean;
  /** Seconds of each step, from the end of the step before. */
  steps: number[];
  /** Seconds of processor time of the whole process in each step, over all threads. */
  cpu: number[];
}

async function measure(settings: Settings) {
  const { architecture, volume, batch, threads, block, pairs, gpu } = settings;
  const [depth, height, width] = volume;
  const engine = await openEngine({
    device: gpu === undefined ? { kind: 'cpu', index: 0, threads } : { kind: 'gpu', index: gpu },
  });
  const folder = await mkdtemp(join(settings.folder, 'ct-ensemble-bench-'));
  const model = buildModel(architecture, { views: [depth], classes: 2, seed: 1 });
  const predict = predictionStep(model);
  try {
    const random = randomStream({ seed: 1, purpose: 'bench' });
    const data = Uint8Array.from({ length: depth * height * width }, () => random.bits() & 255);
    const store: Pick<VolumeStore, 'read'> = { read: async () => ({ depth, height, width, data }) };
    const blocks: Block[] = [];
    /** The checkpoint of a block is due at the block's start: the clock has then gone on by a second. */
    let checkpoints = 0;
    let isWarm = false;
    let [begun, last, lastCpu] = [0, 0, 0];
    const onProgress: TrainOptions['onProgress'] = ({ kind, step }) => {
      if (kind !== 'step') return;
      const now = performance.now() / 1000;
      if (!isWarm) {
        // The first steps trace the network, and the first checkpoint starts the thread that writes.
        if (step === 2) checkpoints++;
        isWarm = step > 3 && now - begun > block;
        if (step <= 3) begun = now;
      } else {
        blocks.at(-1)!.steps.push(now - last);
        blocks.at(-1)!.cpu.push(cpuSeconds() - lastCpu);
      }
      [last, lastCpu] = [now, cpuSeconds()];
      if (isWarm && (blocks.length === 0 || now - begun > block)) {
        // Pairs are in turn without–with and with–without, so that a machine that becomes slower favours neither.
        const withCheckpoint = blocks.length % 4 === 1 || blocks.length % 4 === 2;
        blocks.push({ withCheckpoint, steps: [], cpu: [] });
        if (withCheckpoint) checkpoints++;
        begun = now;
      }
    };
    const scan: StoredScan = {
      key: 'train/0',
      label: 0,
      split: 'train',
      name: '0',
      volume: 'volume',
      failure: null,
      slices: depth,
      kept: depth,
    };
    const training = {
      model,
      member: 'bench',
      folder,
      seed: 1,
      classes: 2,
      training: {
        epochs: 1,
        batchSize: batch,
        loss: { name: 'cross-entropy' },
        optimizer: { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        learningRate: [{ from: 0, rate: 1e-5 }],
        augmentation: { rotate: 0, flipHorizontal: 0, flipVertical: [0], blur: 0, gain: [] },
      },
      predict,
      train: Array.from({ length: 200_000 }, () => scan),
      val: [],
      store,
      score: () => 0,
      checkpointSeconds: 1,
      clock: () => checkpoints,
      onProgress,
      stop: () => blocks.length > 2 * pairs,
    } as const satisfies TrainOptions;
    await trainMember(training).catch((error: unknown) => {
      if ((error as Error).name !== 'StoppedError') throw error;
    });
    const bytes = (await stat(lastCheckpoint(folder))).size;
    return { blocks: blocks.slice(0, 2 * pairs), bytes };
  } finally {
    predict.dispose();
    model.dispose();
    engine.close();
    await rm(folder, { recursive: true, force: true });
  }
}

function cpuSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** What a checkpoint costs: seconds more in a block with one than without, for the same number of steps. */
export function costsOf(blocks: readonly Block[]) {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const pairs = Array.from({ length: Math.floor(blocks.length / 2) }, (_, i) =>
    blocks.slice(2 * i, 2 * i + 2),
  );
  const more = (of: 'steps' | 'cpu') =>
    pairs.map((pair) => {
      const [without, withOne] = [false, true].map((has) =>
        pair.find((block) => block.withCheckpoint === has)!,
      );
      return sum(withOne![of]) - withOne![of].length * mean(without![of]);
    });
  const plain = blocks.filter(({ withCheckpoint }) => !withCheckpoint).flatMap(({ steps }) => steps);
  // The first step after the checkpoint was due waits for the copy of weights and optimizer state.
  const blocked = blocks
    .filter(({ withCheckpoint }) => withCheckpoint)
    .map(({ steps }) => steps[0]! - median(plain));
  return { extra: more('steps'), cpu: more('cpu'), blocked, step: median(plain) };
}

async function main() {
  const { values } = parseArgs({
    options: {
      architecture: { type: 'string', default: 'resnext50_32x4d' },
      volume: { type: 'string', default: '4x64x64' },
      batch: { type: 'string', default: '2' },
      threads: { type: 'string', default: '2' },
      block: { type: 'string', default: '10' },
      pairs: { type: 'string', default: '8' },
      gpu: { type: 'string' },
      folder: { type: 'string', default: tmpdir() },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(usage);
  const positive = (name: 'batch' | 'threads' | 'block' | 'pairs') => {
    const value = Number(values[name]);
    if (value > 0) return value;
    throw new UserError(`--${name} ${values[name]} is not a number above 0`);
  };
  const volume = values.volume.split('x').map(Number);
  if (volume.length !== 3 || !volume.every((size) => Number.isInteger(size) && size > 0))
    throw new UserError(`--volume ${values.volume} is not of the form 4x64x64`);
  const settings: Settings = {
    architecture: values.architecture,
    volume: volume as [number, number, number],
    batch: positive('batch'),
    threads: positive('threads'),
    block: positive('block'),
    pairs: positive('pairs'),
    gpu: values.gpu === undefined ? undefined : Number(values.gpu),
    folder: values.folder,
  };
  const { blocks, bytes } = await measure(settings);
  const { extra, cpu: cpuTime, blocked, step } = costsOf(blocks);
  const ms = (seconds: number) => `${Math.round(seconds * 1000)} ms`;
  const spread = (all: readonly number[]) =>
    `median ${ms(median(all))}, quartiles ${ms(quantile(all, 0.25))} … ${ms(quantile(all, 0.75))}, mean ${ms(mean(all))}`;
  const { cpu, cores } = await describeMachine();
  console.log(`${cpu}, ${cores} cores; ${settings.architecture}, batch ${settings.batch} × ${values.volume}`);
  console.log(`a checkpoint of ${Math.round(bytes / 1e6)} MB; a step without: median ${ms(step)}`);
  console.log(`the training waits for the copy: ${spread(blocked)}`);
  console.log(`a checkpoint costs altogether:   ${spread(extra)} (${extra.length} pairs of blocks)`);
  console.log(`processor time of all threads:   ${spread(cpuTime)}`);
  const share = (seconds: number) => `${((seconds / 60) * 100).toFixed(2)} %`;
  console.log(
    `of a training with one each minute: median ${share(median(extra))}, mean ${share(mean(extra))}`,
  );
}

if (import.meta.filename === process.argv[1]) {
  main().catch((error: unknown) => {
    console.error(messageOf(error));
    process.exitCode = 1;
  });
}
