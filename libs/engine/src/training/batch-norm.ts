// Batch normalisation in training, on any backend.
import tf, { type Tensor, type Tensor1D, type Tensor4D } from '@tensorflow/tfjs';
import { activeBackend } from '../backend/backend.ts';
import { BATCH_NORM_TRAINING } from '../kernels/batch-norm-training.ts';

export interface BatchNormTrainingArgs {
  /** [batch, height, width, channels] */
  x: Tensor4D;
  /** γ, [channels] */
  scale: Tensor1D;
  /** β, [channels] */
  offset: Tensor1D;
  epsilon: number;
  /**
   * Present running statistics, [channels] each, and the weight of the batch's statistics; PyTorch's default is 0.1.
   */
  running?: { mean: Tensor1D; variance: Tensor1D; momentum: number };
  /**
   * Subtracts the first pixel of the batch from x beforehand. Use it if the mean of x is many standard deviations away
   * from 0, as after a first convolution of unnormalised images, where float32 sums would lose the digits of the
   * variance. Costs one more pass over x. Default false.
   */
  offCentre?: boolean;
}

export interface BatchNormTrainingResult {
  /** [batch, height, width, channels] */
  y: Tensor4D;
  /** The updated running mean, or the batch's mean without `running`. [channels]; has no gradient. */
  mean: Tensor1D;
  /** Likewise for the unbiased variance (divisor n − 1), as PyTorch's running variance. */
  variance: Tensor1D;
}

/**
 * Normalises by the batch's mean and biased variance: y = scale · (x − mean) / √(var + epsilon) + offset.
 * Uses TensorFlow's fused op and its gradient on this engine, and tfjs's ops on other backends.
 */
export function batchNormTraining({
  x,
  scale,
  offset,
  epsilon,
  running,
  offCentre = false,
}: BatchNormTrainingArgs): BatchNormTrainingResult {
  if (activeBackend()) {
    const statistics = running && { mean: running.mean, variance: running.variance };
    const attributes = { epsilon, momentum: running?.momentum ?? 1, offCentre };
    const outputs = tf
      .engine()
      .runKernel(BATCH_NORM_TRAINING, { x, scale, offset, ...statistics }, attributes);
    const [y, mean, variance] = outputs as Tensor[];
    return { y: y as Tensor4D, mean: mean as Tensor1D, variance: variance as Tensor1D };
  }
  const { mean, variance } = tf.moments(x, [0, 1, 2]);
  const n = x.size / x.shape[3];
  const unbiased = tf.mul(variance, n / Math.max(n - 1, 1)) as Tensor1D;
  return {
    y: tf.batchNorm(x, mean as Tensor1D, variance as Tensor1D, offset, scale, epsilon) as Tensor4D,
    mean: running ? moved(running.mean, mean as Tensor1D, running.momentum) : (mean as Tensor1D),
    variance: running ? moved(running.variance, unbiased, running.momentum) : unbiased,
  };
}

function moved(from: Tensor1D, to: Tensor1D, momentum: number): Tensor1D {
  return tf.add(tf.mul(from, 1 - momentum), tf.mul(to, momentum));
}
