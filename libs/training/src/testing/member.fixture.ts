// Scans that any network can learn, and short trainings of a member on them.
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomStream } from '@ct-ensemble/core';
import type { StoredScan, VolumeStore } from '@ct-ensemble/data';
import type { Model } from '@ct-ensemble/models';
import { lastCheckpoint } from '../checkpoint.ts';
import { StoppedError } from '../predict.ts';
import type { TrainingOptions } from '../schema.ts';
import { predictionStep } from '../step.ts';
import { type Progress, trainMember, type TrainOptions } from '../train.ts';
import { tinyModel } from './tiny-model.fixture.ts';

export const [depth, edge] = [4, 16];

/** Scans whose label is whether the left or the right half is bright: any network can learn it. */
export const store: Pick<VolumeStore, 'read'> = {
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
export const scans = (split: 'train' | 'val', count: number): StoredScan[] =>
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

export const training: TrainingOptions = {
  epochs: 4,
  batchSize: 4,
  loss: { name: 'focal', gamma: 1.5 },
  optimizer: { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  learningRate: [{ from: 0, rate: 0.01 }, { from: 3, rate: 0.001 }], // prettier-ignore
  augmentation: { rotate: 5, flipHorizontal: 0, flipVertical: [0.5], blur: 0.2, gain: [] },
};

export const accuracy = (truth: readonly number[], predicted: readonly number[]) =>
  truth.filter((label, i) => label === predicted[i]).length / truth.length;

export async function train(options: Partial<TrainOptions> = {}, build: () => Model = tinyModel) {
  const model = build();
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'ct-ensemble-train-')));
  const progress: Progress[] = [];
  const predict = predictionStep(model);
  try {
    const state = await trainMember({
      model,
      member: 'tiny',
      folder,
      seed: 5,
      classes: 2,
      training,
      predict,
      train: scans('train', 10),
      val: scans('val', 6),
      store,
      score: accuracy,
      capture: { precision: 'float32' }, // loss scale or not: TensorFlow's float16 is for GPUs
      onProgress: (event) => progress.push(event),
      ...options,
    });
    const weights = new Map(
      [...model.parameters.byName].map(([name, { variable }]) => [name, [...variable.dataSync()]]),
    );
    return { state, folder, progress, weights };
  } finally {
    predict.dispose();
    model.dispose();
  }
}

const tensorsOf = async (folder: string) => {
  const file = await readFile(lastCheckpoint(folder));
  return file.subarray(8 + Number(file.readBigUInt64LE(0)));
};

/** Trains twice from the first epoch, and a third time in two parts; expects equal bytes of all three. */
export async function expectEqualBytes(settings: TrainingOptions, build: () => Model = tinyModel) {
  const straight = await train({ training: settings }, build);
  const bytes = await tensorsOf(straight.folder);
  expect((await tensorsOf((await train({ training: settings }, build)).folder)).equals(bytes)).toBe(true);

  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-train-'));
  let stop = false;
  const midway = train(
    {
      training: settings,
      folder,
      stop: () => stop,
      onProgress: ({ epoch, step }) => void (stop ||= epoch === 3 && step === 1),
    },
    build,
  );
  await expect(midway).rejects.toThrow(StoppedError);
  const resumed = await train({ training: settings, folder }, build);
  expect(resumed.progress[0]).toMatchObject({ kind: 'resumed', epoch: 2 });
  expect(resumed.state.history.map(({ loss }) => loss)).toEqual(
    straight.state.history.map(({ loss }) => loss),
  );
  expect((await tensorsOf(folder)).equals(bytes)).toBe(true);
  expect(resumed.weights).toEqual(straight.weights);
  return folder;
}
