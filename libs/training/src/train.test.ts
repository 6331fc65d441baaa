// A small network trained for real: bytes in, checkpoints out.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Engine, openEngine } from '@ct-ensemble/engine';
import { type Model, readSafetensors } from '@ct-ensemble/models';
import { bestCheckpoint, lastCheckpoint } from './checkpoint.ts';
import type { TrainingOptions } from './schema.ts';
import { expectEqualBytes, scans, train, training } from './testing/member.fixture.ts';
import { tinyModel } from './testing/tiny-model.fixture.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
});
afterAll(() => engine.close());

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
  const durations = { seconds: expect.any(Number), waited: expect.any(Number) };
  expect(lines.map((line) => JSON.parse(line))).toEqual(
    state.history.map((epoch) => ({ ...epoch, ...durations })),
  );
  expect(engine.tensors).toBe(before);
});

const cosine: TrainingOptions['learningRate'] = { schedule: 'cosine', rate: 0.02, warmUp: 1, final: 0 };
const everything = { ...training, batchSize: 4, accumulate: 2, gradientClip: 1, learningRate: cosine };

test.each<[string, TrainingOptions, () => Model]>([
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
  const folder = await expectEqualBytes(settings, build);
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
    /last\.safetensors: has no optimizer state sgd\.momentum_buffer\.hidden\.weight → delete the folder/,
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
