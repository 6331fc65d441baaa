// Layers with PyTorch's meaning on NHWC tensors. A constructor makes the parameters and gives the layer, a function
// that reads no value and draws no number, so that a training step can be traced once and replayed.
import { batchNormTraining, dropout as dropped, groupedConv2d } from '@ct-ensemble/engine';
import tf, { type Rank, type Tensor, type Tensor1D, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import { constant, pytorchDefault, type Init } from './inits.ts';
import type { Scope } from './weights/parameters.ts';

export interface Mode {
  /** Batch normalisation by the batch's own statistics, which move the running ones; otherwise by the running ones. */
  readonly training: boolean;
  /** Less memory for more time: dense layers keep no inner results for the backward pass but compute them again. */
  readonly recompute?: boolean;
  /** [2] int32, an input of the step, from which dropout draws in training; without it nothing is dropped. */
  readonly seed?: Tensor1D;
}

export type Layer<X = Tensor4D, Y = Tensor4D> = (x: X, mode: Mode) => Y;

export const sequential =
  (...layers: readonly Layer[]): Layer =>
  (x, mode) =>
    layers.reduce((y, layer) => layer(y, mode), x);

export const relu: Layer = (x) => tf.relu(x);

/** One number for both, or [height, width]. */
export type Pair = number | readonly [height: number, width: number];

const both = (pair: Pair): readonly [height: number, width: number] =>
  typeof pair === 'number' ? [pair, pair] : pair;

export interface Conv2dOptions {
  in: number;
  out: number;
  kernel: Pair;
  /** Default 1. */
  stride?: number;
  /** Zeros above and below, left and right; default 0. */
  padding?: Pair;
  /** The channels fall into so many groups, each with outputs of its own; default 1. */
  groups?: number;
  /** Default false. */
  bias?: boolean;
  /** First values of the weight; default PyTorch's. */
  init?: Init;
}

/** [N, H, W, in] → [N, ⌊(H + 2·padding − kernel) / stride⌋ + 1, …, out]. */
export function conv2d(scope: Scope, options: Conv2dOptions): Layer {
  const { kernel, stride = 1, padding = 0, groups = 1, bias = false } = options;
  const shape = [options.out, options.in / groups, ...both(kernel)];
  const init = options.init ?? pytorchDefault(shape);
  const weight = scope.parameter<Rank.R4>('weight', { shape, layout: 'conv', init });
  const offset = bias
    ? scope.parameter<Rank.R1>('bias', {
        shape: [options.out],
        layout: 'vector',
        init: pytorchDefault(shape),
      })
    : undefined;
  const pad = typeof padding === 'number' ? padding : explicit(padding);
  return (x) => {
    const y =
      groups === 1
        ? tf.conv2d(x, weight, stride, pad)
        : groupedConv2d({ x, filter: weight, strides: stride, pad: padding as number });
    return offset === undefined ? y : tf.add<Tensor4D>(y, offset);
  };
}

const explicit = ([height, width]: readonly [number, number]) =>
  [[0, 0], [height, height], [width, width], [0, 0]] as [[0, 0], [number, number], [number, number], [0, 0]]; // prettier-ignore

export interface BatchNormOptions {
  /** Default 1e-5. */
  epsilon?: number;
  /** For the first of a network; see libs/engine. Default false. */
  offCentre?: boolean;
}

/** Batch normalisation over N, H and W; momentum 0.1 and, unless told otherwise, ε 1e-5, as in PyTorch. */
export function batchNorm(
  scope: Scope,
  channels: number,
  { epsilon = 1e-5, offCentre = false }: BatchNormOptions = {},
): Layer {
  const vector = (name: string, value: number, trainable: boolean) =>
    scope.parameter<Rank.R1>(name, { shape: [channels], layout: 'vector', init: constant(value), trainable });
  const scale = vector('weight', 1, true);
  const offset = vector('bias', 0, true);
  const runningMean = vector('running_mean', 0, false);
  const runningVariance = vector('running_var', 1, false);
  scope.counter('num_batches_tracked');
  return (x, { training }) => {
    if (!training) return tf.batchNorm4d(x, runningMean, runningVariance, offset, scale, epsilon);
    const running = { mean: runningMean, variance: runningVariance, momentum };
    const { y, mean, variance } = batchNormTraining({ x, scale, offset, epsilon, running, offCentre });
    runningMean.assign(mean);
    runningVariance.assign(variance);
    return y;
  };
}

const momentum = 0.1;

/** [N, in] → [N, out]. */
export function linear(
  scope: Scope,
  options: { in: number; out: number; init?: Init; biasInit?: Init },
): Layer<Tensor2D, Tensor2D> {
  const shape = [options.out, options.in];
  const init = options.init ?? pytorchDefault(shape);
  const weight = scope.parameter<Rank.R2>('weight', { shape, layout: 'linear', init });
  const bias = scope.parameter<Rank.R1>('bias', {
    shape: [options.out],
    layout: 'vector',
    init: options.biasInit ?? pytorchDefault(shape),
  });
  return (x) => tf.add(tf.matMul(x, weight), bias);
}

export interface PoolOptions {
  size: number;
  stride: number;
  /** On each of the four sides; default 0. */
  padding?: number;
}

/** Maximum of windows; what is padded never is one. */
export function maxPool({ size, stride, padding = 0 }: PoolOptions): Layer {
  return (x) => tf.maxPool(x, size, stride, padding);
}

/** Mean of windows; padded zeros count, as in PyTorch by default. */
export function avgPool({ size, stride, padding = 0 }: PoolOptions): Layer {
  return (x) => tf.avgPool(padImage(x, padding), size, stride, 'valid');
}

/** Mean of the pixels that a window of odd size around each pixel has within the image: `count_include_pad=False`. */
export function avgPoolInside(size: number): Layer {
  return (x) => tf.avgPool(x, size, 1, 'same');
}

function padImage(x: Tensor4D, padding: number): Tensor4D {
  if (padding === 0) return x;
  const sides: [number, number] = [padding, padding];
  return tf.pad(x, [[0, 0], sides, sides, [0, 0]]);
}

/** Drops elements in training where the step brings a seed; `layer` tells a network's dropouts apart. */
export function dropout<T extends Tensor>({ rate, layer }: { rate: number; layer: number }): Layer<T, T> {
  return (x, { training, seed }) => (training && seed ? dropped(x, { rate, seed, layer }) : x);
}

/** [N, H, W, C] → [N, C]: each channel's mean. */
export const globalAvgPool: Layer<Tensor4D, Tensor2D> = (x) => tf.mean(x, [1, 2]);

/** Twice the height and width, each pixel four times: nn.Upsample's default. */
export const upsample: Layer = (x) => tf.image.resizeNearestNeighbor(x, [2 * x.shape[1], 2 * x.shape[2]]);

/** Branches side by side: their channels in a row. */
export const branches =
  (...layers: readonly Layer[]): Layer =>
  (x, mode) =>
    tf.concat(
      layers.map((layer) => layer(x, mode)),
      3,
    );
