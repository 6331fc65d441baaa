// Layers against numbers worked by hand from PyTorch's definitions.
import { openEngine, type Engine } from '@ct-ensemble/engine';
import tf from '@tensorflow/tfjs';
import { constant } from './inits.ts';
import { avgPool, batchNorm, conv2d, linear, maxPool } from './layers.ts';
import { createParameters } from './parameters.ts';
import { importTensors } from './weights.ts';

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
