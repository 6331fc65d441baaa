// One small member trained for real: bytes in, checkpoints out.
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomStream } from '@ct-ensemble/core';
import type { StoredScan, VolumeStore } from '@ct-ensemble/data';
import { type Engine, openEngine } from '@ct-ensemble/engine';
import { buildModel } from '@ct-ensemble/models';
import { lastCheckpoint } from './checkpoint.ts';
import type { TrainingOptions } from './schema.ts';
import { StoppedError } from './predict.ts';
import { predictionStep } from './step.ts';
import { type Progress, trainMember, type TrainOptions } from './train.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
});
afterAll(() => engine.close());

const [depth, edge] = [4, 16];

/** Scans whose label is whether the left or the right half is bright: any network can learn it. */
const store: Pick<VolumeStore, 'read'> = {
  read: async (key) => {
    const random = randomStream({ seed: 1, purpose: key });
    const bright = Number(key.split('-')[1]);
    const data = Uint8Array.from({ length: depth * edge * edge }, (_, i) => {
      const right = i % edge >= edge / 2 ? 1 : 0;
      return 60 + 60 * random.uniform() + (right === bright ? 80 : 0);
    });
    return { depth, height: edge, width: edge, data };
  },
};
const scans = (split: 'train' | 'val', count: number): StoredScan[] =>
  Array.from({ length: count }, (_, i) => {
    const key = `${split}/${i}`;
    return {
      key,
      label: i % 2,
      split,
      name: String(i),
      volume: `${key}-${i % 2}`,
      failure: null,
      slices: depth,
      kept: 4,
    };
  });

const training: TrainingOptions = {
  epochs: 4,
  batchSize: 4,
  loss: { name: 'focal', gamma: 1.5 },
  optimizer: { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  learningRate: [{ from: 0, rate: 0.01 }, { from: 3, rate: 0.001 }], // prettier-ignore
  augmentation: { rotate: 5, flipHorizontal: 0, flipVertical: [0.5], blur: 0.2, gain: [] },
};

const accuracy = (truth: readonly number[], predicted: readonly number[]) =>
  truth.filter((label, i) => label === predicted[i]).length / truth.length;

async function train(options: Partial<TrainOptions> = {}) {
  const model = buildModel('densenet_small', { views: [depth], classes: 2, seed: 5 });
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'ct-ensemble-train-')));
  const progress: Progress[] = [];
  const predict = predictionStep(model);
  try {
    const state = await trainMember({
      model,
      folder,
      seed: 5,
      classes: 2,
      training,
      predict,
      train: scans('train', 10),
      val: scans('val', 6),
      store,
      score: accuracy,
      onProgress: (event) => progress.push(event),
      ...options,
    });
    return { state, folder, progress };
  } finally {
    predict.dispose();
    model.dispose();
  }
}

test('learns, keeps the history, and gives every tensor back', async () => {
  const before = engine.tensors;
  const { state, folder, progress } = await train({
    training: { ...training, epochs: 40, learningRate: [{ from: 0, rate: 0.003 }] },
  });
  expect(state.best!.macroF1).toBeGreaterThan(0.8);
  expect(state.steps).toBe(40 * 3);
  const losses = state.history.map(({ loss }) => loss);
  expect(Math.min(...losses)).toBeLessThan(losses[0]! / 2);
  expect(progress.filter(({ kind }) => kind === 'step')).toHaveLength(120);
  const lines = (await readFile(join(folder, 'history.jsonl'), 'utf8')).trim().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toEqual(state.history);
  expect(engine.tensors).toBe(before);
});

test('the same seed gives the same bytes; resumed after any epoch, too', async () => {
  const straight = await train();
  const again = await train();
  const bytes = (folder: string) => readFile(lastCheckpoint(folder));
  const tensorsOf = async (folder: string) => {
    const file = await bytes(folder);
    return file.subarray(8 + Number(file.readBigUInt64LE(0)));
  };
  expect((await tensorsOf(again.folder)).equals(await tensorsOf(straight.folder))).toBe(true);

  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-train-'));
  let stop = false;
  const midway = train({
    folder,
    stop: () => stop,
    onProgress: ({ epoch, step }) => void (stop ||= epoch === 3 && step === 1),
  });
  await expect(midway).rejects.toThrow(StoppedError);
  const resumed = await train({ folder });
  expect(resumed.progress[0]).toMatchObject({ kind: 'resumed', epoch: 2 });
  expect(resumed.state.history.map(({ loss }) => loss)).toEqual(
    straight.state.history.map(({ loss }) => loss),
  );
  expect((await tensorsOf(folder)).equals(await tensorsOf(straight.folder))).toBe(true);
});

test('a finished member trains no further', async () => {
  const { folder } = await train({ training: { ...training, epochs: 1 } });
  const { progress, state } = await train({ folder, training: { ...training, epochs: 1 } });
  expect(progress.map(({ kind }) => kind)).toEqual(['resumed']);
  expect(state.epochs).toBe(1);
});

test('a loss that is not finite ends the member by name', async () => {
  const wild = { ...training, learningRate: [{ from: 0, rate: 1e30 }] };
  await expect(train({ training: wild })).rejects.toThrow(
    /the loss is (NaN|Infinity) in epoch \d+, step \d+.*learningRate/,
  );
});
