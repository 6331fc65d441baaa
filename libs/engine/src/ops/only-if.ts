// A part of a step that is computed only where a condition, which is known when the step runs, says so.
import tf, { type Scalar, type Tensor } from '@tensorflow/tfjs';
import { activeBackend } from '../backend/backend.ts';
import { type } from '../kernels/attributes.ts';

/**
 * f(x) where the condition holds, else x; f keeps shape and type. In a captured step on a CPU that XLA does not compile f is
 * skipped where it does not hold; elsewhere f is computed and one of the two is taken. Without a gradient.
 *
 * @param f a function of x and of tensors that are there without it; not of what another `onlyIf` has inside
 */
export function onlyIf<T extends Tensor>(condition: Scalar, x: T, f: (x: T) => T): T {
  const backend = activeBackend();
  const { trace } = backend?.engine ?? {};
  if (backend === undefined || trace === undefined || trace.jit || backend.engine.isUsingGpuDevice())
    return tf.tidy(() => tf.where(condition, f(x), x));
  return tf.tidy(() => {
    const attributes = [type('T', backend.engine.typeOf(backend.idOf(x)))];
    const taken = { name: 'Switch', attributes, outputs: 2 };
    const [otherwise, then] = backend.run(taken, [x, condition]) as [T, T];
    const merged = { name: 'Merge', attributes, outputs: 2 };
    return backend.run(merged, [f(then), otherwise])[0] as T;
  });
}
