// Puts the averaged weights in the place of the trained weights while validation or saving uses them.
import type { Optimizer } from '@ct-ensemble/engine';
import tf, { type Tensor } from '@tensorflow/tfjs';

/** Sets each variable to its moving average, runs `work`, then restores the trained values. Without averages it only runs `work`. */
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
