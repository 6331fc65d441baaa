// Conditional computation within a step, by a condition that is evaluated at every run.
import tf, { type Scalar, type Tensor } from '@tensorflow/tfjs';
import { activeBackend } from '../backend/backend.ts';
import { type } from '../kernels/attributes.ts';

/**
 * f(x) if the condition is true, else x. Has no gradient. f is skipped if the condition is false, but only in a
 * captured step on a CPU without `jit`; elsewhere f is always computed and one of the two results is selected.
 *
 * @param condition boolean scalar
 * @param f must keep x's shape and type, and may use x and tensors made outside of any `onlyIf`
 */
export function onlyIf<T extends Tensor>(condition: Scalar, x: T, f: (x: T) => T): T {
  const backend = activeBackend();
  const { trace } = backend?.engine ?? {};
  if (backend === undefined || trace === undefined || trace.jit || backend.engine.isUsingGpuDevice())
    return tf.tidy(() => tf.where(condition, f(x), x));
  return tf.tidy(() => {
    const attributes = [type('T', backend.engine.typeOf(backend.idOf(x)))];
    const switchOp = { name: 'Switch', attributes, outputs: 2 };
    const [otherwise, then] = backend.run(switchOp, [x, condition]) as [T, T];
    const mergeOp = { name: 'Merge', attributes, outputs: 2 };
    return backend.run(mergeOp, [f(then), otherwise])[0] as T;
  });
}
