// Batch normalisation in training, on any backend.
import tf, { type Tensor, type Tensor1D, type Tensor4D } from '@tensorflow/tfjs';
import { activeBackend } from './backend.ts';
import { BATCH_NORM_TRAINING } from './kernels/batch-norm-training.ts';

export interface BatchNormTrainingArgs {
  /** [batch, height, width, channels] */
  x: Tensor4D;
  /** γ, [channels] */
  scale: Tensor1D;
  /** β, [channels] */
  offset: Tensor1D;
  epsilon: number;
}

export interface BatchNormTrainingResult {
  /** [batch, height, width, channels] */
  y: Tensor4D;
  /** The batch's mean, [channels]; carries no gradient. */
  mean: Tensor1D;
  /** The batch's variance, divided by n − 1 as PyTorch's running variance has it, [channels]; carries no gradient. */
  variance: Tensor1D;
}

/**
 * Normalises by the batch's own mean and (biased) variance: y = scale · (x − mean) / √(var + epsilon) + offset.
 * TensorFlow's fused op with its gradient on this engine, plain tfjs elsewhere.
 */
export function batchNormTraining({
  x,
  scale,
  offset,
  epsilon,
}: BatchNormTrainingArgs): BatchNormTrainingResult {
  if (activeBackend()) {
    const outputs = tf.engine().runKernel(BATCH_NORM_TRAINING, { x, scale, offset }, { epsilon }) as Tensor[];
    const [y, mean, variance] = outputs;
    return { y: y as Tensor4D, mean: mean as Tensor1D, variance: variance as Tensor1D };
  }
  const { mean, variance } = tf.moments(x, [0, 1, 2]);
  const n = x.size / x.shape[3];
  return {
    y: tf.batchNorm(x, mean as Tensor1D, variance as Tensor1D, offset, scale, epsilon) as Tensor4D,
    mean: mean as Tensor1D,
    variance: tf.mul(variance, n / Math.max(n - 1, 1)) as Tensor1D,
  };
}
