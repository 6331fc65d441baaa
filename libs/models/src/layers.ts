// Layers with PyTorch's meaning on NHWC tensors. A constructor makes the parameters and gives the layer, a function
// that reads no value and draws no number, so that a training step can be traced once and replayed.
import { batchNormTraining } from '@ct-ensemble/engine';
import tf, { type Rank, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import { constant, pytorchDefault, type Init } from './inits.ts';
import type { Scope } from './parameters.ts';

export interface Mode {
  /** Batch normalisation by the batch's own statistics, which move the running ones; otherwise by the running ones. */
  readonly training: boolean;
  /** Less memory for more time: dense layers keep no inner results for the backward pass but compute them again. */
  readonly recompute?: boolean;
}

export type Layer<X = Tensor4D, Y = Tensor4D> = (x: X, mode: Mode) => Y;

export const sequential =
  (...layers: readonly Layer[]): Layer =>
  (x, mode) =>
    layers.reduce((y, layer) => layer(y, mode), x);

export const relu: Layer = (x) => tf.relu(x);

export interface Conv2dOptions {
  in: number;
  out: number;
  /** Edge of the square kernel. */
  kernel: number;
  /** Default 1. */
  stride?: number;
  /** Zeros on each of the four sides; default 0. */
  padding?: number;
  /** Default false. */
  bias?: boolean;
  /** First values of the weight; default PyTorch's. */
  init?: Init;
}

/** [N, H, W, in] → [N, ⌊(H + 2·padding − kernel) / stride⌋ + 1, …, out]. */
export function conv2d(scope: Scope, options: Conv2dOptions): Layer {
  const { kernel, stride = 1, padding = 0, bias = false } = options;
  const shape = [options.out, options.in, kernel, kernel];
  const init = options.init ?? pytorchDefault(shape);
  const weight = scope.parameter<Rank.R4>('weight', { shape, layout: 'conv', init });
  const offset = bias
    ? scope.parameter<Rank.R1>('bias', {
        shape: [options.out],
        layout: 'vector',
        init: pytorchDefault(shape),
      })
    : undefined;
  return (x) => {
    const y = tf.conv2d(x, weight, stride, padding);
    return offset === undefined ? y : tf.add<Tensor4D>(y, offset);
  };
}

/** Batch normalisation over N, H and W; momentum 0.1 and ε 1e-5, as in PyTorch. */
export function batchNorm(scope: Scope, channels: number): Layer {
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
    const { y, mean, variance } = batchNormTraining({ x, scale, offset, epsilon, running });
    runningMean.assign(mean);
    runningVariance.assign(variance);
    return y;
  };
}

const momentum = 0.1;
const epsilon = 1e-5;

/** [N, in] → [N, out]. */
export function linear(
  scope: Scope,
  options: { in: number; out: number; biasInit?: Init },
): Layer<Tensor2D, Tensor2D> {
  const shape = [options.out, options.in];
  const init = pytorchDefault(shape);
  const weight = scope.parameter<Rank.R2>('weight', { shape, layout: 'linear', init });
  const bias = scope.parameter<Rank.R1>('bias', {
    shape: [options.out],
    layout: 'vector',
    init: options.biasInit ?? init,
  });
  return (x) => tf.add(tf.matMul(x, weight), bias);
}

export interface PoolOptions {
  size: number;
  stride: number;
  /** Zeros on each of the four sides; default 0. */
  padding?: number;
}

/** Maximum of windows; pads with zeros, which is PyTorch's −∞ only where no value is negative: after a ReLU. */
export function maxPoolAfterRelu({ size, stride, padding = 0 }: PoolOptions): Layer {
  return (x) => tf.maxPool(padImage(x, padding), size, stride, 'valid');
}

/** Mean of windows; padded zeros count, as in PyTorch. */
export function avgPool({ size, stride, padding = 0 }: PoolOptions): Layer {
  return (x) => tf.avgPool(padImage(x, padding), size, stride, 'valid');
}

function padImage(x: Tensor4D, padding: number): Tensor4D {
  if (padding === 0) return x;
  const sides: [number, number] = [padding, padding];
  return tf.pad(x, [[0, 0], sides, sides, [0, 0]]);
}
