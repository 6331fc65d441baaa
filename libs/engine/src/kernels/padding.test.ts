import tf, { type Tensor, type Tensor4D } from '@tensorflow/tfjs';
import { capture } from '../capture/capture.ts';
import { type Engine, openEngine } from '../engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
});
afterAll(() => engine.close());

type Paddings = [[0, 0], [number, number], [number, number], [0, 0]];
const around = (pad: number): Paddings => [
  [0, 0],
  [pad, pad],
  [pad, pad],
  [0, 0],
];

/** Integers (i·step mod size) − shift, so that every sum is exact. */
function pattern(shape: number[], [step, size, shift]: [number, number, number]): Tensor4D {
  const length = shape.reduce((a, b) => a * b);
  const numbers = Float32Array.from({ length }, (_, i) => ((i * step) % size) - shift);
  return tf.tensor4d(numbers, shape as [number, number, number, number]);
}
const image = (shape: number[]) => pattern(shape, [3, 11, 5]);
const filterOf = (shape: number[]) => pattern(shape, [7, 5, 2]);
const upstream = (shape: number[]) => pattern(shape, [5, 7, 3]);

/** Output and gradients, computed eagerly and in a captured step. */
async function bothWays(f: (...inputs: Tensor4D[]) => Tensor4D, inputs: Tensor4D[]) {
  const step = (named: Record<string, Tensor>) => {
    const operands = Object.values(named) as Tensor4D[];
    const y = f(...operands);
    const gradients = tf.grads(f as never)(operands, upstream(y.shape) as never);
    return Object.fromEntries([y, ...gradients].map((tensor, i) => [`o${i}`, tensor]));
  };
  const named = Object.fromEntries(inputs.map((tensor, i) => [`i${i}`, tensor]));
  const read = (outputs: Record<string, Tensor>) =>
    Object.values(outputs).map((tensor) => ({ shape: tensor.shape, values: Array.from(tensor.dataSync()) }));
  const eager = read(tf.tidy(() => step(named)));
  const captured = read(await capture(step)(named));
  return { eager, captured };
}

/** Results of PyTorch 2: conv2d and max_pool2d with autograd on the same numbers. */
const pytorch = {
  // stride 2, padding 1: [1, 5, 6, 2] by [3, 3, 2, 2]
  conv: {
    y: [12, -14, 21, -39, -20, -20, 8, 18, -21, 35, 13, -1, 8, -31, -2, -31, -24, 12],
    dx: [
      4, 5, 8, -4, -4, -2, 5, 3, 2, -2, -6, 5, 10, 0, -10, -5, 0, 0, 5, -5, -10, 0, 10, 5, -6, -2, 6, 3, 0,
      -2, -11, -4, 6, 5, 4, -7, 1, 0, 7, -5, -9, 0, 1, 16, 9, 0, -9, -8, -2, -2, -10, -4, 4, 5, 8, -4, -4, -2,
      0, 2,
    ],
    dw: [
      1, 13, -8, -11, -11, 22, 2, 8, 15, -28, -5, 2, -2, -11, -2, 17, 8, 3, 21, -30, 1, 3, -8, -8, 13, -3,
      -11, 14, 22, -29, 8, 7, -28, -1, 2, 2,
    ],
  },
  // window 3, stride 2, padding 1: [1, 6, 5, 2], all values below zero
  maxPool: {
    y: [-1, -38, -14, -3, -40, -16, -5, -2, -18, -2, -4, -20, -13, -2, -26, -2, -4, -28],
    dx: [
      -3, 2, 0, 0, 0, -2, 3, 1, 0, 0, -1, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, -3,
      -2, 0, 0, 0, -2, -2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ],
  },
};

it("a strided convolution with PyTorch's padding, and both gradients", async () => {
  const f = (x: Tensor4D, w: Tensor4D) => tf.conv2d(x, w, 2, around(1));
  const { eager, captured } = await bothWays(f, [image([1, 5, 6, 2]), filterOf([3, 3, 2, 2])]);
  expect(eager.map(({ values }) => values)).toEqual([pytorch.conv.y, pytorch.conv.dx, pytorch.conv.dw]);
  expect(eager[0]!.shape).toEqual([1, 3, 3, 2]);
  expect(captured).toEqual(eager);
});

it("a maximum with PyTorch's padding: what lies outside is −∞, not 0", async () => {
  const numbers = Float32Array.from({ length: 60 }, (_, i) => -1 - ((i * 37) % 61));
  const f = (x: Tensor4D) => tf.maxPool(x, 3, 2, around(1));
  const { eager, captured } = await bothWays(f as never, [tf.tensor4d(numbers, [1, 6, 5, 2])]);
  expect(eager.map(({ values }) => values)).toEqual([pytorch.maxPool.y, pytorch.maxPool.dx]);
  expect(captured).toEqual(eager);
});

const uneven: Paddings = [[0, 0], [2, 1], [0, 3], [0, 0]]; // prettier-ignore
it.each<[string, (x: Tensor4D, w: Tensor4D, pad: Paddings | 'valid') => Tensor4D, number[]]>([
  ['a convolution', (x, w, pad) => tf.conv2d(x, w, [2, 1], pad), [3, 2, 2, 4]],
  ['a depthwise convolution', (x, w, pad) => tf.depthwiseConv2d(x, w, 2, pad), [3, 4, 2, 3]],
  ['a maximum', (x, w, pad) => tf.add(tf.maxPool(x, [3, 4], [1, 2], pad), tf.sum(w)), [1, 1, 1, 1]],
])('%s with uneven padding is the same as one of the padded image', async (_, f, shape) => {
  const outside = shape.length === 4 && shape[0] === 1 ? -1e9 : 0;
  const operands = [image([2, 6, 7, 2]), filterOf(shape)];
  const explicit = await bothWays((x, w) => f(x!, w!, uneven), operands);
  const padded = await bothWays((x, w) => f(tf.pad(x!, uneven, outside), w!, 'valid'), operands);
  expect(explicit.eager).toEqual(padded.eager);
  expect(explicit.captured).toEqual(padded.eager);
});

it('a fused convolution with padding, bias and activation', () => {
  const x = image([1, 5, 5, 2]);
  const filter = filterOf([3, 3, 2, 2]);
  const bias = tf.tensor1d([1, -2]);
  const fused = tf.fused.conv2d({ x, filter, strides: 2, pad: 1, bias, activation: 'relu' });
  const plain = tf.relu(tf.add(tf.conv2d(x, filter, 2, around(1)), bias));
  expect(Array.from(fused.dataSync())).toEqual(Array.from(plain.dataSync()));
});

it('NCHW: strides and padding of rows and columns, and both gradients', async () => {
  const pad = [[0, 0], [0, 0], [1, 0], [0, 2]] as [[0, 0], [0, 0], [number, number], [number, number]]; // prettier-ignore
  const operands = [image([2, 5, 7, 3]), filterOf([3, 2, 3, 4])];
  const nhwc = await bothWays((x, w) => tf.conv2d(x!, w!, [1, 2], [[0, 0], [1, 0], [0, 2], [0, 0]]), operands); // prettier-ignore
  const nchw = await bothWays((x, w) => {
    const y = tf.conv2d(tf.transpose(x!, [0, 3, 1, 2]), w!, [1, 2], pad as never, 'NCHW');
    return tf.transpose(y, [0, 2, 3, 1]);
  }, operands);
  expect(nchw.eager).toEqual(nhwc.eager);
  expect(nchw.captured).toEqual(nhwc.eager);
});

describe('windows that lie beyond the padding', () => {
  it('a convolution takes zeros there', async () => {
    // 'ceil' makes room for four windows a side: the last needs two zeros more than it was given.
    const operands = [image([1, 8, 8, 2]), filterOf([3, 3, 2, 2])];
    const ceil = await bothWays((x, w) => tf.conv2d(x!, w!, 3, 1, 'NHWC', 1, 'ceil'), operands);
    const more: Paddings = [[0, 0], [1, 3], [1, 3], [0, 0]]; // prettier-ignore
    const padded = await bothWays((x, w) => tf.conv2d(tf.pad(x!, more), w!, 3, 'valid'), operands);
    expect(ceil.eager).toEqual(padded.eager);
    expect(ceil.captured).toEqual(padded.eager);
  });

  it('a maximum of nothing is the lowest number', async () => {
    // 'ceil' makes room for two windows a side, at −1 and at 2; the image ends at 1.
    const lowest = -3.4028234663852886e38;
    const f = (x: Tensor4D) => tf.maxPool(x, 2, 3, 1, 'ceil');
    const { eager, captured } = await bothWays(f as never, [tf.tensor4d([-7, 2, 3, 4], [1, 2, 2, 1])]);
    expect(eager[0]!.values).toEqual([-7, lowest, lowest, lowest]);
    expect(eager[1]!.values).toEqual([-3, 0, 0, 0]);
    expect(captured).toEqual(eager);
  });
});

describe('an average with explicit padding, as tfjs has it', () => {
  const x = () => tf.tensor4d([1, 2, 3, 4], [1, 2, 2, 1]);

  it('is over the part of the window that lies in the image', () => {
    const y = tf.avgPool(x(), 2, 1, around(1));
    expect(Array.from(y.dataSync())).toEqual([1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4]);
  });

  it('spreads its gradient over the whole window', () => {
    const dx = tf.grad((image) => tf.avgPool(image as Tensor4D, 2, 1, around(1)))(x());
    expect(Array.from(dx.dataSync())).toEqual([1, 1, 1, 1]);
  });

  it("PyTorch's average, which counts the zeros, is a pool of the padded image", async () => {
    const f = (image: Tensor4D) => tf.avgPool(tf.pad(image, around(1)), 2, 1, 'valid');
    const { eager, captured } = await bothWays(f as never, [x()]);
    expect(eager[0]!.values).toEqual([0.25, 0.75, 0.5, 1, 2.5, 1.5, 0.75, 1.75, 1]);
    expect(captured).toEqual(eager);
  });
});
