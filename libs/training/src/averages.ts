// Averaged weights in the place of the trained ones, for as long as something is computed with them.
import type { Optimizer } from '@ct-ensemble/engine';
import tf, { type Tensor } from '@tensorflow/tfjs';

/** Runs `work` with each variable at its moving average, then gives the variables their own values back. */
export async function withAverages<T>({ averages }: Optimizer, work: () => Promise<T>): Promise<T> {
  const own: { variable: Tensor & { assign(value: Tensor): void }; value: Tensor }[] = [];
  for (const { variable, average } of averages.values()) {
    own.push({ variable, value: tf.tidy(() => tf.keep(tf.add(variable, 0))) });
    tf.tidy(() => variable.assign(tf.add(average, 0)));
  }
  try {
    return await work();
  } finally {
    for (const { variable, value } of own) {
      if (!variable.isDisposed) variable.assign(value);
      value.dispose();
    }
  }
}
