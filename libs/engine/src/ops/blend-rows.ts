// Weighted sums of rows of grey values, on any backend. Used to rotate images whose pixels are rows of channels.
import tf, { type Tensor, type Tensor2D } from '@tensorflow/tfjs';
import { BLEND_ROWS } from '../kernels/blend-rows.ts';

export interface BlendRowsArgs {
  /** [rows, channels], float32, integer values 0 … 255. */
  x: Tensor2D;
  /** [terms, results], int32: indices of rows of x. */
  rows: Tensor2D;
  /** [terms, results], float32, ≥ 0; the weights of each result sum to at most 1. */
  weights: Tensor2D;
}

/**
 * result[i] = Σⱼ weights[j, i] · x[rows[j, i]], rounded half up. Has no gradient. The sums are exact on this engine
 * if the weights are multiples of 2⁻¹⁶.
 *
 * @returns [results, channels], float32, integer values 0 … 255
 */
export function blendRows(args: BlendRowsArgs): Tensor2D {
  if (tf.getKernel(BLEND_ROWS, tf.getBackend())) return tf.engine().runKernel(BLEND_ROWS, { ...args });
  return tf.tidy(() => {
    const { x, rows, weights } = args;
    const factors = tf.unstack(weights);
    const terms = tf.unstack(rows).map((row, j): Tensor => {
      return tf.mul(tf.gather(x, row as Tensor), tf.expandDims(factors[j]!, 1));
    });
    return tf.floor(tf.add(tf.addN(terms), 0.5));
  });
}
