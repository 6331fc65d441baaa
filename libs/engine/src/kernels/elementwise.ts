// Elementwise ops for which TensorFlow differs from tfjs's definition: sign of NaN, integers, order of strings.
import tf, { type KernelConfig, type KernelFunc, type Tensor } from '@tensorflow/tfjs';
import type { TensorFlowBackend } from '../backend/backend.ts';
import { DataType } from '../native/types.ts';
import { type } from './attributes.ts';

type Args = Parameters<KernelFunc>[0];

/** tfjs defines the sign of NaN as 0. */
function sign({ inputs }: Args) {
  const x = inputs['x'] as Tensor;
  return tf.tidy(() => tf.sub(tf.cast(tf.greater(x, 0), x.dtype), tf.cast(tf.less(x, 0), x.dtype)));
}

/**
 * A kernel that uses `integers` for int32, which tfjs-node's kernel rejects, and tfjs-node's kernel for other types.
 */
function onIntegers(
  name: string,
  integers: (x: Tensor, args: Args, kernel: KernelFunc) => Tensor,
): KernelConfig {
  const original = tf.getKernel(name, 'tensorflow').kernelFunc;
  return {
    kernelName: name,
    backendName: 'tensorflow',
    kernelFunc(args) {
      const x = args.inputs['x'] as Tensor;
      return x.dtype === 'int32' ? tf.tidy(() => integers(x, args, original)) : original(args);
    },
  };
}

/**
 * TensorFlow cannot order strings, so they are compared in JavaScript by UTF-16 code units, as tfjs's CPU backend
 * does.
 */
function onStrings(name: string, compare: (a: string, b: string) => boolean): KernelConfig {
  const original = tf.getKernel(name, 'tensorflow').kernelFunc;
  return {
    kernelName: name,
    backendName: 'tensorflow',
    kernelFunc(args) {
      const { a, b } = args.inputs as Record<'a' | 'b', Tensor>;
      if (a.dtype !== 'string') return original(args);
      return tf.tidy(() => {
        const shape = tf.backend_util.assertAndGetBroadcastShape(a.shape, b.shape);
        const spread = (x: Tensor) =>
          broadcast(args.backend as TensorFlowBackend, x, shape).dataSync<'string'>();
        const [left, right] = [spread(a), spread(b)];
        return tf.tensor(left.map((text, i) => compare(text, right[i]!)) as never, shape, 'bool');
      });
    },
  };
}

/** Broadcasts strings, which tf.broadcastTo rejects. */
function broadcast(engine: TensorFlowBackend, x: Tensor, shape: number[]): Tensor {
  const attributes = [type('T', DataType.STRING), type('Tidx', DataType.INT32)];
  return engine.run({ name: 'BroadcastTo', attributes }, [x, tf.tensor1d(shape, 'int32')])[0]!;
}

/** Call after registering tfjs-node's kernels, since some of these kernels wrap them. */
export const elementwiseKernels = (): KernelConfig[] => [
  { kernelName: 'Sign', backendName: 'tensorflow', kernelFunc: sign },
  onIntegers('Round', (x) => tf.clone(x)),
  onIntegers('LeakyRelu', (x, args, kernel) => {
    return kernel({ ...args, inputs: { x: tf.cast(x, 'float32') } }) as Tensor;
  }),
  onIntegers('Step', (x, { attrs }) => {
    const below = tf.fill(x.shape, attrs!['alpha'] as number, 'int32');
    return tf.where(tf.greater(x, 0), tf.onesLike(x), below);
  }),
  onStrings('Greater', (a, b) => a > b),
  onStrings('GreaterEqual', (a, b) => a >= b),
  onStrings('Less', (a, b) => a < b),
  onStrings('LessEqual', (a, b) => a <= b),
];
