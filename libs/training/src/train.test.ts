// One small member trained for real: bytes in, checkpoints out.
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomStream } from '@ct-ensemble/core';
import type { StoredScan, VolumeStore } from '@ct-ensemble/data';
import { type Engine, openEngine } from '@ct-ensemble/engine';
import { buildModel, type Model, readSafetensors } from '@ct-ensemble/models';
import { bestCheckpoint, lastCheckpoint } from './checkpoint.ts';
import type { TrainingOptions } from './schema.ts';
import { StoppedError } from './predict.ts';
import { predictionStep } from './step.ts';
import { tinyModel } from './testing/tiny-model.fixture.ts';
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

const densenet = () => buildModel('densenet_small', { views: [depth], classes: 2, seed: 5 });

async function train(options: Partial<TrainOptions> = {}, build: () => Model = tinyModel) {
  const model = build();
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

const tensorsOf = async (folder: string) => {
  const file = await readFile(lastCheckpoint(folder));
  return file.subarray(8 + Number(file.readBigUInt64LE(0)));
};
const cosine: TrainingOptions['learningRate'] = { schedule: 'cosine', rate: 0.02, warmUp: 1, final: 0 };
const everything = { ...training, batchSize: 4, accumulate: 2, gradientClip: 1, learningRate: cosine };

test.each<[string, TrainingOptions, () => Model]>([
  ['adam, a network with batch normalisation', training, densenet],
  ['averaged weights of such a network', { ...training, averageWeights: { decay: 0.9 } }, densenet],
  [
    'adam with L2 decay',
    { ...training, optimizer: { ...training.optimizer, weightDecay: 0.1 } as never },
    tinyModel,
  ],
  [
    'adamw, averaged weights, micro-batches, clipping, a cosine, weights of classes, mixup, cutout',
    {
      ...everything,
      loss: { name: 'cross-entropy', labelSmoothing: 0.1, classWeights: 'inverse-frequency' },
      optimizer: { ...training.optimizer, name: 'adamw', weightDecay: 0.01 } as never,
      averageWeights: { decay: 0.9 },
      augmentation: {
        ...training.augmentation,
        mixup: { alpha: 0.4 },
        cutout: { size: 0.5, probability: 0.5 },
      },
    },
    tinyModel,
  ],
  [
    'sgd with momentum',
    { ...training, optimizer: { name: 'sgd', momentum: 0.9, nesterov: true, weightDecay: 1e-3 } },
    tinyModel,
  ],
  [
    'sgd without',
    { ...training, optimizer: { name: 'sgd', momentum: 0, nesterov: false, weightDecay: 0 } },
    tinyModel,
  ],
  [
    'the loss scale of float16, which halves until nothing overflows',
    { ...training, precision: 'mixed-float16' },
    () => tinyModel({ limit: 600 }),
  ],
])('the same seed gives the same bytes, also when resumed: %s', async (_, settings, build) => {
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
  if (settings.precision) {
    const { tensors } = await readSafetensors(lastCheckpoint(folder));
    const kept = (name: string) => tensors.get(`loss_scale.${name}`)!.data[0];
    expect(kept('scale')).toBeLessThan(2 ** 16); // so that it matters that it was restored
    expect(kept('updates')).toBeGreaterThan(0);
  }
});

test('averaged weights are judged, are the best checkpoint, and are what the model ends with', async () => {
  const settings = { ...training, averageWeights: { decay: 0.5 } };
  const { folder, weights } = await train({ training: settings, val: [] }); // without a score the last epoch is best
  const [best, last] = [
    (await readSafetensors(bestCheckpoint(folder))).tensors,
    (await readSafetensors(lastCheckpoint(folder))).tensors,
  ];
  const name = 'head.bias';
  expect(best.get(name)).toEqual(last.get(`average.${name}`));
  expect(best.get(name)).not.toEqual(last.get(name));
  expect(weights.get(name)).toEqual([...best.get(name)!.data]);
  expect(best.has(`average.${name}`)).toBe(false);
});

test.each<[string, TrainingOptions['loss']]>([
  ['focal loss', training.loss],
  ['weights of classes', { name: 'cross-entropy', classWeights: [0.5, 3] }],
])('micro-batches are equal to one batch, the last and smaller step too: %s', async (_, loss) => {
  // SGD, whose steps are proportional to the gradients; augmentation draws by scan, in any batch.
  const settings: TrainingOptions = {
    ...training,
    batchSize: 6,
    loss,
    optimizer: { name: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 0 },
    learningRate: [{ from: 0, rate: 0.5 }],
  };
  const whole = await train({ training: settings });
  for (const accumulate of [2, 3, 6]) {
    const parts = await train({ training: { ...settings, accumulate } });
    expect(parts.state.steps).toBe(whole.state.steps);
    parts.state.history.forEach((epoch, i) =>
      expect(Math.abs(epoch.loss / whole.state.history[i]!.loss - 1)).toBeLessThan(1e-5),
    );
    for (const [name, values] of parts.weights)
      values.forEach((value, i) => expect(Math.abs(value - whole.weights.get(name)![i]!)).toBeLessThan(1e-5));
  }
});

test('the rate of a cosine changes from step to step', async () => {
  const { state } = await train({
    training: { ...training, epochs: 2, learningRate: { ...cosine, warmUp: 0 } as never },
  });
  // Six steps; the history has each epoch's last: 0.02 · (1 + cos(π t / 6)) / 2 at t 2 and 5.
  const expected = [2, 5].map((t) => 0.01 * (1 + Math.cos((Math.PI * t) / 6)));
  state.history.forEach(({ learningRate }, i) => expect(learningRate).toBeCloseTo(expected[i]!, 12));
});

test('a class without training scans has no weight', async () => {
  const loss = { name: 'focal', gamma: 1, classWeights: 'inverse-frequency' } as const;
  const one = scans('train', 8).filter(({ label }) => label === 1);
  await expect(train({ training: { ...training, loss }, train: one })).rejects.toThrow(
    /training\.loss\.classWeights: class 0 has no training scans.* → change classWeights/,
  );
});

test('a checkpoint of another optimizer is refused by the tensor that it lacks', async () => {
  const { folder } = await train({ training: { ...training, epochs: 1 } });
  const optimizer = { name: 'sgd', momentum: 0.9, nesterov: false, weightDecay: 0 } as const;
  await expect(train({ folder, training: { ...training, optimizer } })).rejects.toThrow(
    /last\.safetensors: has no optimizer state sgd\.momentum_buffer\.hidden\.weight → delete the file/,
  );
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
