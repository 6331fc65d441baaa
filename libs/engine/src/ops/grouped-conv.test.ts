import tf, { type Tensor, type Tensor4D } from '@tensorflow/tfjs';
import { capture } from '../capture/capture.ts';
import { type Engine, type EngineKind, openEngine } from '../engine.ts';
import { groupedConv2d } from './grouped-conv.ts';

let engine: Engine | undefined;
const open = async (kind: EngineKind) =>
  (engine = await openEngine({ engine: kind, device: { kind: 'cpu', index: 0, threads: 1 } }));
afterEach(() => {
  engine?.close();
  engine = undefined;
});

/** Integers (i·step mod size) − shift, so that every sum is exact. */
function pattern(shape: number[], [step, size, shift]: [number, number, number]): Tensor4D {
  const length = shape.reduce((a, b) => a * b);
  const numbers = Float32Array.from({ length }, (_, i) => ((i * step) % size) - shift);
  return tf.tensor4d(numbers, shape as [number, number, number, number]);
}

interface Case {
  x: number[];
  filter: number[];
  strides: number | [number, number];
  pad: number | 'same' | 'valid';
}

/** Output, gradient of the image, gradient of the filter. */
function compute({ x, filter, strides, pad }: Case) {
  const image = pattern(x, [3, 11, 5]);
  const weights = pattern(filter, [7, 5, 2]);
  const f = (a: Tensor, b: Tensor) =>
    groupedConv2d({ x: a as Tensor4D, filter: b as Tensor4D, strides, pad });
  const step = ({ a, b }: { a: Tensor; b: Tensor }) => {
    const y = f(a, b);
    const [dx, dw] = tf.grads(f)([a, b], pattern(y.shape, [5, 7, 3]));
    return { y, dx: dx!, dw: dw! };
  };
  return { step, inputs: { a: image, b: weights } };
}
const read = (tensors: Record<string, Tensor>) =>
  Object.values(tensors).map((tensor) => Array.from(tensor.dataSync()));

/** PyTorch 2's conv2d(…, groups) with autograd on the same numbers. */
const pytorch: (Case & { expected: number[][] })[] = [
  {
    x: [1, 3, 3, 4],
    filter: [3, 3, 1, 8],
    strides: 1,
    pad: 1,
    expected: [
      [
        -3, 3, -5, 10, -11, 3, -6, 18, -5, 10, -5, 6, 5, -10, -19, 6, -9, 10, -7, 1, 18, 3, -12, 3, 5, -13, 6,
        9, 14, -6, 16, -22, 12, -6, -7, -8, -10, 22, 3, -2, 8, 7, -4, -6, 1, -9, 5, 17, 0, -5, 10, -11, -5,
        -6, -9, 10, 4, -5, -10, 5, 26, -19, -5, 2, 10, -7, -7, 18, -2, -12, -3, -1,
      ],
      [
        -7, 9, -6, 14, 16, -12, 11, -9, -2, -2, -5, -4, 0, -3, -7, -7, -2, -2, 0, 3, -3, 0, -5, 8, -2, -2, 14,
        -6, -12, 16, -5, -4, 9, -7, -3, 8,
      ],
      [
        -15, -5, 1, 8, 19, -5, 20, 23, 0, -12, -5, 10, 3, 18, -20, 11, 0, -12, 3, -5, -25, 14, 9, -16, -16, 9,
        -16, 1, -8, -18, -2, -4, 7, -10, 10, -25, -3, -5, -33, -2, -3, -11, 9, 1, -16, -2, 13, -28, 1, 1, -15,
        3, -9, -13, 8, -11, 11, -2, 19, -22, 28, 10, 12, 9, 8, 7, 4, 15, 15, 4, 7, 8,
      ],
    ],
  },
  {
    x: [2, 4, 4, 4],
    filter: [3, 3, 2, 4],
    strides: 2,
    pad: 1,
    expected: [
      [
        -10, 4, -6, 8, -9, 8, 16, -24, -8, -10, 1, 16, 24, -27, -22, 36, 18, -7, -12, 7, -20, 25, -5, -3, -18,
        22, 28, -39, 14, -10, 22, -14,
      ],
      [
        -8, 4, 4, -2, 7, -9, -4, -2, 5, 2, 5, -2, -6, 1, 1, -6, 2, 10, 2, -6, -11, 9, -5, 2, 0, -3, 4, -6, -1,
        -4, -1, -6, 4, 0, -8, 5, -1, 0, -3, 12, 3, -2, -7, 5, -2, 3, -8, 4, 0, -4, 5, -7, 0, 1, 12, -3, -2,
        -2, 5, -8, 3, -2, 4, 6, 2, -4, 1, -2, 5, 2, 5, -2, 1, -6, 2, -2, 2, 5, 4, 0, 1, -7, -4, 8, 14, -4, -2,
        -5, -1, -6, -2, 8, 9, 4, -2, -2, -7, 6, 3, -2, -3, -3, -1, -2, -8, 4, 4, -2, 6, -7, 2, -4, 6, 4, -2,
        3, -3, -3, -2, 2, 4, 6, -2, 2, -7, 5, -4, 0,
      ],
      [
        -15, 10, 15, -10, 12, -9, 6, -10, 6, 1, 1, 6, 22, -20, 11, -21, 4, 5, 19, -25, 20, -16, 7, -19, -3,
        -15, -7, -16, -14, -7, -13, -3, 24, -35, -17, -35, -18, -18, -17, 25, 10, -22, -17, -15, -10, 17, -17,
        23, -14, -8, -4, 27, -3, 22, 23, -4, -10, 17, -17, 23, 14, 23, 16, 17, -13, 19, -17, 43, 11, 25, 38,
        -18,
      ],
    ],
  },
];

describe.each(['tensorflow', 'cpu'] as const)('a grouped convolution on the engine %s', (kind) => {
  it.each(pytorch)(
    "agrees with PyTorch's to the last digit: $x by $filter",
    async ({ expected, ...sizes }) => {
      await open(kind);
      const { step, inputs } = compute(sizes);
      expect(read(step(inputs))).toEqual(expected);
      expect(read(await capture(step)(inputs))).toEqual(expected);
    },
  );
});

it.each<Case>([
  { x: [2, 8, 9, 6], filter: [3, 2, 2, 3], strides: [2, 1], pad: 'same' },
  { x: [2, 8, 9, 6], filter: [3, 2, 2, 3], strides: [2, 3], pad: 'valid' },
  { x: [2, 7, 7, 4], filter: [1, 1, 1, 4], strides: 2, pad: 'valid' },
  { x: [1, 5, 5, 4], filter: [5, 5, 2, 8], strides: 1, pad: 2 },
  { x: [2, 10, 11, 8], filter: [3, 3, 2, 8], strides: 3, pad: 2 },
])('both engines agree: %j', async (sizes) => {
  const results = [];
  for (const kind of ['tensorflow', 'cpu'] as const) {
    await open(kind);
    const { step, inputs } = compute(sizes);
    results.push(read(step(inputs)));
    engine!.close();
  }
  engine = undefined;
  expect(results[0]).toEqual(results[1]);
});

it('with one group is a plain convolution', async () => {
  await open('tensorflow');
  const { step, inputs } = compute({ x: [1, 4, 4, 2], filter: [3, 3, 2, 3], strides: 1, pad: 1 });
  const plain = tf.conv2d(inputs.a, inputs.b, 1, [[0, 0], [1, 1], [1, 1], [0, 0]]); // prettier-ignore
  expect(read(step(inputs))[0]).toEqual(Array.from(plain.dataSync()));
});

it('says what does not fit', async () => {
  await open('tensorflow');
  const x = tf.zeros([1, 4, 4, 6]) as Tensor4D;
  const call = (filter: [number, number, number, number], pad: number) => () =>
    groupedConv2d({ x, filter: tf.zeros<tf.Rank.R4>(filter), strides: 1, pad });
  expect(call([3, 3, 4, 6], 1)).toThrow(/6 channels and a filter \[3, 3, 4, 6\] do not divide into groups/);
  expect(call([3, 3, 2, 4], 1)).toThrow(/do not divide into groups/);
  expect(call([3, 3, 2, 6], 3)).toThrow(/padding 3 for a filter of 3 × 3/);
});

it('is not fused with what follows in a captured step that only evaluates', async () => {
  await open('tensorflow');
  const { inputs } = compute({ x: [1, 5, 5, 4], filter: [3, 3, 2, 4], strides: 1, pad: 1 });
  const mean = tf.variable(tf.tensor1d([1, 2, 3, 4]));
  const step = ({ a, b }: { a: Tensor; b: Tensor }) => {
    const y = groupedConv2d({ x: a as Tensor4D, filter: b as Tensor4D, strides: 1, pad: 1 });
    return { y: tf.relu(tf.batchNorm(y, mean, tf.onesLike(mean), undefined, undefined, 0)) };
  };
  const captured = capture(step);
  const { y } = await captured(inputs);
  expect(Array.from(y.dataSync())).toEqual(Array.from(step(inputs).y.dataSync()));
});
