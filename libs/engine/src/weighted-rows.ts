// Weighted sums of rows, on any backend: what turning an image whose pixels are rows of channels comes down to.
import tf, { type Tensor, type Tensor2D } from '@tensorflow/tfjs';
import { WEIGHTED_ROWS } from './kernels/weighted-rows.ts';

export interface WeightedRowsArgs {
  /** [rows, channels], float32 */
  x: Tensor2D;
  /** [results, terms], int32: numbers of rows of x. */
  rows: Tensor2D;
  /** [results, terms], float32 */
  weights: Tensor2D;
}

/** result[i] = Σⱼ weights[i, j] · x[rows[i, j]], [results, channels]; without a gradient. */
export function weightedRows(args: WeightedRowsArgs): Tensor2D {
  if (tf.getKernel(WEIGHTED_ROWS, tf.getBackend())) return tf.engine().runKernel(WEIGHTED_ROWS, { ...args });
  return tf.tidy(() => sumOfGathers(args));
}

/** The same as gathers of whole rows. */
export function sumOfGathers({ x, rows, weights }: WeightedRowsArgs): Tensor2D {
  const terms = rows.shape[1];
  const perTerm = (of: Tensor2D) => tf.split(of, terms, 1);
  const factors = perTerm(weights);
  const summands = perTerm(rows).map((row, j): Tensor => {
    return tf.mul(tf.gather(x, tf.reshape(row, [-1])), factors[j]!);
  });
  return summands.reduce((sum, summand) => tf.add(sum, summand)) as Tensor2D;
}
