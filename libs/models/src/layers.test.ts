// Layers against numbers that were computed by hand from PyTorch's definitions.
import { openEngine, type Engine } from '@ct-ensemble/engine';
import tf, { type Rank } from '@tensorflow/tfjs';
import { constant } from './inits.ts';
import {
  avgPool,
  avgPoolInside,
  batchNorm,
  branches,
  conv2d,
  dropout,
  linear,
  maxPool,
  relu,
  upsample,
} from './layers.ts';
import { createParameters } from './weights/parameters.ts';
import { importTensors } from './weights/weights.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ engine: 'cpu' });
});
afterAll(() => engine.close());

const evaluation = { training: false };
const image = (rows: number[][]) => tf.tensor4d([rows.map((row) => row.map((value) => [value]))]);
const rowsOf = (y: ReturnType<typeof image>) => tf.squeeze(y).arraySync();
const count = () =>
  image([
    [0, 1, 2, 3],
    [4, 5, 6, 7],
    [8, 9, 10, 11],
    [12, 13, 14, 15],
  ]);

test('a strided convolution is padded on all four sides', () => {
  const { root } = createParameters(1);
  const conv = conv2d(root, { in: 1, out: 1, kernel: 3, stride: 2, padding: 1, init: constant(1) });
  expect(rowsOf(conv(tf.onesLike(count()), evaluation))).toEqual([
    [4, 6],
    [6, 9],
  ]);
});

test('a 1×1 convolution with padding, and one without padding, have the sizes that were asked for', () => {
  const { root } = createParameters(1);
  const padded = conv2d(root.at('a'), { in: 1, out: 2, kernel: 1, padding: 1 });
  const valid = conv2d(root.at('b'), { in: 1, out: 2, kernel: 3 });
  expect(padded(count(), evaluation).shape).toEqual([1, 6, 6, 2]);
  expect(valid(count(), evaluation).shape).toEqual([1, 2, 2, 2]);
});

test('pools are padded on all four sides', () => {
  const max = maxPool({ size: 3, stride: 2, padding: 1 });
  expect(rowsOf(max(count(), evaluation))).toEqual([
    [5, 7],
    [13, 15],
  ]);
  const mean = avgPool({ size: 2, stride: 2 });
  expect(rowsOf(mean(count(), evaluation))).toEqual([
    [2.5, 4.5],
    [10.5, 12.5],
  ]);
});

test('the padding of a maximum pool is never the maximum', () => {
  const max = maxPool({ size: 3, stride: 2, padding: 1 });
  expect(rowsOf(max(tf.sub(count(), 20), evaluation))).toEqual([
    [-15, -13],
    [-7, -5],
  ]);
});

test('average pools count the zeros of their padding, or only the pixels inside', () => {
  const nine = image([
    [1, 2, 3],
    [4, 5, 6],
    [7, 8, 9],
  ]);
  const sums = [
    [12, 21, 16],
    [27, 45, 33],
    [24, 39, 28],
  ];
  const pixels = [
    [4, 6, 4],
    [6, 9, 6],
    [4, 6, 4],
  ];
  const close = (found: unknown, divisors: number[][]) =>
    (found as number[][]).forEach((row, i) =>
      row.forEach((value, j) => expect(value).toBeCloseTo(sums[i]![j]! / divisors[i]![j]!, 5)),
    );
  close(rowsOf(avgPool({ size: 3, stride: 1, padding: 1 })(nine, evaluation)), [[9, 9, 9], [9, 9, 9], [9, 9, 9]]); // prettier-ignore
  close(rowsOf(avgPoolInside(3)(nine, evaluation)), pixels);
});

test('upsampling makes four of each pixel', () => {
  expect(rowsOf(upsample(image([[1, 2], [3, 4]]), evaluation))).toEqual([
    [1, 1, 2, 2],
    [1, 1, 2, 2],
    [3, 3, 4, 4],
    [3, 3, 4, 4],
  ]); // prettier-ignore
});

test('a kernel that is not square, with padding on two sides', () => {
  const { root } = createParameters(1);
  const row = conv2d(root, { in: 1, out: 1, kernel: [1, 3], padding: [0, 1], init: constant(1) });
  expect(rowsOf(row(count(), evaluation))).toEqual([
    [1, 3, 6, 5],
    [9, 15, 18, 13],
    [17, 27, 30, 21],
    [25, 39, 42, 29],
  ]);
});

test('groups of channels are convolved separately', () => {
  const { parameters, root } = createParameters(1);
  const conv = conv2d(root, { in: 4, out: 2, kernel: 1, groups: 2 });
  const weight = { dtype: 'F32' as const, shape: [2, 2, 1, 1], data: Float32Array.of(1, 10, 100, 1000) };
  importTensors(parameters, new Map([['weight', weight]]));
  expect(conv(tf.tensor4d([1, 2, 3, 4], [1, 1, 1, 4]), evaluation).arraySync()).toEqual([[[[21, 4300]]]]);
});

test('branches are concatenated in their order', () => {
  const x = tf.tensor4d([-1, 2], [1, 1, 1, 2]);
  expect(branches((y) => y, relu)(x, evaluation).arraySync()).toEqual([[[[-1, 2, 0, 2]]]]);
});

test('dropout acts only in training with a seed, at the given rate, and keeps the mean', () => {
  const x = tf.ones<Rank.R1>([10_000]);
  const drop = dropout<typeof x>({ rate: 0.25, layer: 0 });
  const seed = (value: number) => tf.tensor1d([value, 0], 'int32');
  expect(drop(x, { training: false, seed: seed(1) })).toBe(x);
  expect(drop(x, { training: true })).toBe(x);
  const kept = [...drop(x, { training: true, seed: seed(1) }).dataSync()];
  expect(new Set(kept.map((value) => value.toFixed(5)))).toEqual(new Set(['0.00000', '1.33333']));
  expect(kept.filter((value) => value === 0).length).toBeGreaterThan(2300); // five deviations below 2500
  expect(kept.filter((value) => value === 0).length).toBeLessThan(2700);
  expect([...drop(x, { training: true, seed: seed(1) }).dataSync()]).toEqual(kept);
  expect([...drop(x, { training: true, seed: seed(2) }).dataSync()]).not.toEqual(kept);
});

test('batch normalisation uses the biased variance, and moves the running one towards the unbiased', () => {
  const { parameters, root } = createParameters(1);
  const norm = batchNorm(root, 1);
  const x = tf.tensor4d([1, 2, 3, 6], [4, 1, 1, 1]); // mean 3, squared deviations 14
  const y = norm(x, { training: true }).dataSync();
  [1, 2, 3, 6].forEach((value, i) => expect(y[i]).toBeCloseTo((value - 3) / Math.sqrt(3.5 + 1e-5), 5));
  const running = (name: string) => parameters.byName.get(name)!.variable.dataSync()[0]!;
  expect(running('running_mean')).toBeCloseTo(0.3, 6);
  expect(running('running_var')).toBeCloseTo(0.9 + (0.1 * 14) / 3, 6);
  const after = norm(x, evaluation).dataSync();
  [1, 2, 3, 6].forEach((value, i) =>
    expect(after[i]).toBeCloseTo((value - 0.3) / Math.sqrt(0.9 + 1.4 / 3 + 1e-5), 5),
  );
});

test('a linear layer multiplies by the transpose of the stored weight', () => {
  const { parameters, root } = createParameters(1);
  const layer = linear(root, { in: 2, out: 3 });
  importTensors(
    parameters,
    new Map([
      ['weight', { dtype: 'F32', shape: [3, 2], data: Float32Array.of(3, 4, 5, 6, 7, 8) }],
      ['bias', { dtype: 'F32', shape: [3], data: Float32Array.of(0, 0.5, 100) }],
    ]),
  );
  expect(layer(tf.tensor2d([[1, 2]]), evaluation).arraySync()).toEqual([[11, 17.5, 123]]);
});
