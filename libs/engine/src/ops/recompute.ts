// Saves memory at the expense of time: a part of a network is computed again in the backward pass instead of keeping
// its intermediate results (gradient checkpointing).
import tf, { type Tensor, type Variable } from '@tensorflow/tfjs';
import { activeBackend } from '../backend/backend.ts';
import { rememberVariables, restoreVariables } from '../capture/remember.ts';

/**
 * Calls f, and calls it again in the backward pass to compute its gradient; only xs are kept in between. Assignments to
 * variables by the second call are undone. Result and gradients are those of the plain call `f(...xs)`.
 *
 * @param f may depend on xs, on `variables`, and on other tensors that need no gradient
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
        withoutSideEffects(() => {
          const later = (saved as Tensor[]).map((x) => activeBackend()?.availableAfter(x, dy as Tensor) ?? x);
          return tf.grads((...again: Tensor[]) => f(...again.slice(0, count)))(
            [...later, ...variables],
            dy as Tensor,
          );
        }),
    };
  });
  return run(...xs, ...variables) as Y;
}

/** Runs work, then restores all variables and the tape from which tfjs is computing gradients. */
function withoutSideEffects<T>(work: () => T): T {
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
