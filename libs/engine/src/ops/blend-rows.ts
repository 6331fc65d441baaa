// Weighted sums of rows of grey values, on any backend: what turning an image comes down to whose pixels are rows of channels.
import tf, { type Tensor, type Tensor2D } from '@tensorflow/tfjs';
import { BLEND_ROWS } from '../kernels/blend-rows.ts';

export interface BlendRowsArgs {
  /** [rows, channels], float32, whole values 0 … 255. */
  x: Tensor2D;
  /** [terms, results], int32: numbers of rows of x. */
  rows: Tensor2D;
  /** [terms, results], float32, ≥ 0; for each result they sum to 1 at most. */
  weights: Tensor2D;
}

/**
 * result[i] = Σⱼ weights[j, i] · x[rows[j, i]], rounded half up: [results, channels], whole values 0 … 255. Without a gradient.
 * On this engine for weights that are multiples of 2⁻¹⁶ to the last bit, and in pieces that stay in the CPU's cache.
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
