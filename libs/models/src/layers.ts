// Layers that compute what PyTorch's layers of the same names compute, on NHWC tensors. A constructor creates the parameters and
// returns the layer as a function. The function reads no tensor's values and draws no random numbers, so that a training step can
// be traced once and replayed.
import { batchNormTraining, dropout as dropped, groupedConv2d } from '@ct-ensemble/engine';
import tf, { type Rank, type Tensor, type Tensor1D, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import { constant, pytorchDefault, type Init } from './inits.ts';
import type { Scope } from './weights/parameters.ts';

export interface Mode {
  /**
   * true: batch normalisation uses the batch's statistics and updates the running statistics. false: it uses the running
   * statistics.
   */
  readonly training: boolean;
  /** Saves memory at the cost of time: DenseNet's layers recompute their inner results in the backward pass. Default false. */
  readonly recompute?: boolean;
  /** Seed of dropout in training, [2] int32; an input of the captured step. Without a seed dropout does nothing. */
  readonly seed?: Tensor1D;
  /**
   * Called with the values of each observed place of the network, in the order of computation; the network goes on with what
   * it returns, a tensor of the same shape. For explanations; left out in training and prediction.
   */
  readonly observe?: (place: Place, value: Tensor4D) => Tensor4D;
}

/**
 * A place of a network whose values can be observed. `features`: the last features, whose mean over all pixels the head of a
 * classifier receives. `slices1`, `slices2`: the input of the front's convolution of the first and second view. `encoder1`,
 * `encoder2`: the output of the ReLU after that convolution.
 */
export type Place = 'features' | 'slices1' | 'slices2' | 'encoder1' | 'encoder2';

/** Computes a layer's output; images are [batch, height, width, channels]. */
export type Layer<X = Tensor4D, Y = Tensor4D> = (x: X, mode: Mode) => Y;

/** Applies the layers one after the other. */
export const sequential =
  (...layers: readonly Layer[]): Layer =>
  (x, mode) =>
    layers.reduce((y, layer) => layer(y, mode), x);

export const relu: Layer = (x) => tf.relu(x);

/** Hands the image to the observer of this place, if there is one; computes nothing. */
export const observed =
  (place: Place): Layer =>
  (x, { observe }) =>
    observe === undefined ? x : observe(place, x);

/** A size for height and width: one number for both, or [height, width]. */
export type Pair = number | readonly [height: number, width: number];

const both = (pair: Pair): readonly [height: number, width: number] =>
  typeof pair === 'number' ? [pair, pair] : pair;

export interface Conv2dOptions {
  /** Input and output channels. */
  in: number;
  out: number;
  kernel: Pair;
  /** Default 1. */
  stride?: number;
  /** Rows of zeros added above and below, and columns added left and right; default 0. */
  padding?: Pair;
  /** Number of groups that input and output channels are divided into, as in PyTorch; default 1. */
  groups?: number;
  /** Whether the convolution has a bias; default false. */
  bias?: boolean;
  /** Initial values of the weight; default: PyTorch's. */
  init?: Init;
  /** Initial values of the bias; default: PyTorch's. */
  biasInit?: Init;
}

/** Convolution: [N, H, W, in] → [N, ⌊(H + 2·padding − kernel) / stride⌋ + 1, …, out]. */
export function conv2d(scope: Scope, options: Conv2dOptions): Layer {
  const { kernel, stride = 1, padding = 0, groups = 1, bias = false } = options;
  const shape = [options.out, options.in / groups, ...both(kernel)];
  const init = options.init ?? pytorchDefault(shape);
  const weight = scope.parameter<Rank.R4>('weight', { shape, layout: 'conv', init });
  const offset = bias
    ? scope.parameter<Rank.R1>('bias', {
        shape: [options.out],
        layout: 'vector',
        init: options.biasInit ?? pytorchDefault(shape),
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
  /** Added to the variance; default 1e-5. */
  epsilon?: number;
  /**
   * For layers near a network's input, whose channels' means are far from 0 compared with their deviations: see
   * `batchNormTraining` in libs/engine. Default false.
   */
  offCentre?: boolean;
}

/** Batch normalisation over N, H and W, as in PyTorch: momentum 0.1, default ε 1e-5. The running variance is unbiased. */
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

/** Fully connected layer: [N, in] → [N, out]. */
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
  /** Rows and columns added on each of the four sides; default 0. */
  padding?: number;
}

/** Maximum of each window; padding is never the maximum. */
export function maxPool({ size, stride, padding = 0 }: PoolOptions): Layer {
  return (x) => tf.maxPool(x, size, stride, padding);
}

/** Mean of each window; padded zeros count as values, which is PyTorch's default. */
export function avgPool({ size, stride, padding = 0 }: PoolOptions): Layer {
  return (x) => tf.avgPool(padImage(x, padding), size, stride, 'valid');
}

/** Mean around each pixel, over those pixels of the window that lie inside the image: PyTorch's `count_include_pad=False`. */
export function avgPoolInside(size: number): Layer {
  return (x) => tf.avgPool(x, size, 1, 'same');
}

function padImage(x: Tensor4D, padding: number): Tensor4D {
  if (padding === 0) return x;
  const sides: [number, number] = [padding, padding];
  return tf.pad(x, [[0, 0], sides, sides, [0, 0]]);
}

/** Dropout in training if `mode.seed` is given. `layer` distinguishes the dropout layers of a network. */
export function dropout<T extends Tensor>({ rate, layer }: { rate: number; layer: number }): Layer<T, T> {
  return (x, { training, seed }) => (training && seed ? dropped(x, { rate, seed, layer }) : x);
}

/** Mean of each channel: [N, H, W, C] → [N, C]. */
export const globalAvgPool: Layer<Tensor4D, Tensor2D> = (x) => tf.mean(x, [1, 2]);

/** Doubles height and width by repeating each pixel (nearest neighbour, the default of `nn.Upsample`). */
export const upsample: Layer = (x) => tf.image.resizeNearestNeighbor(x, [2 * x.shape[1], 2 * x.shape[2]]);

/** Applies all branches to the same input and concatenates their output channels in order. */
export const branches =
  (...layers: readonly Layer[]): Layer =>
  (x, mode) =>
    tf.concat(
      layers.map((layer) => layer(x, mode)),
      3,
    );
