// Less memory for more time: a part of a network whose inner results are not kept for the backward pass but computed again.
import tf, { type Tensor, type Variable } from '@tensorflow/tfjs';
import { activeBackend } from '../backend/backend.ts';
import { rememberVariables, restoreVariables } from '../capture/remember.ts';

/**
 * Calls f, and calls it again in the backward pass, for its gradient; in between only xs are kept. What f assigns to
 * variables, it assigns once. The result and the gradients are the same with and without.
 *
 * @param f a function of xs and of the variables named; of nothing else that needs a gradient
 */
export function recompute<Y extends Tensor>(
  f: (...xs: Tensor[]) => Y,
  xs: readonly Tensor[],
  variables: readonly Variable[],
): Y {
  const count = xs.length;
  const run = tf.customGrad((...all) => {
    const save = all.pop() as unknown as (tensors: Tensor[]) => void;
    const inputs = all as Tensor[];
    save(inputs.slice(0, count));
    return {
      value: tf.tidy(() => f(...inputs.slice(0, count))),
      gradFunc: (dy, saved) =>
        apart(() => {
          const later = (saved as Tensor[]).map((x) => activeBackend()?.after(x, dy as Tensor) ?? x);
          return tf.grads((...again: Tensor[]) => f(...again.slice(0, count)))(
            [...later, ...variables],
            dy as Tensor,
          );
        }),
    };
  });
  return run(...xs, ...variables) as Y;
}

/** Work that leaves no trace: variables are put back, and so is the tape that tfjs works through meanwhile. */
function apart<T>(work: () => T): T {
  const before = rememberVariables();
  const { state } = tf.engine();
  const tape = state.activeTape;
  try {
    return work();
  } finally {
    state.activeTape = tape;
    restoreVariables(before);
  }
}
