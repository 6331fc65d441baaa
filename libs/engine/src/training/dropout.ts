// Dropout whose seed is an input of the step, so that every run of a captured step draws different numbers.
import tf, { type Tensor, type Tensor1D } from '@tensorflow/tfjs';
import { activeBackend } from '../backend/backend.ts';
import { type } from '../kernels/attributes.ts';
import { DataType } from '../native/types.ts';

export interface DropoutOptions {
  /** Probability that an element becomes 0; the others are divided by 1 − rate. */
  rate: number;
  /** [2], int32; should be an input of the step. Equal seeds give equal draws. */
  seed: Tensor1D;
  /** Number of this dropout within the step, 0, 1, …, so that each draws differently. */
  layer: number;
}

/**
 * Dropout in training; x may have any shape. On this engine the draws come from TensorFlow's StatelessRandomUniform
 * (Philox) and are the same on every device. Other backends draw different numbers from the same seed.
 */
export function dropout<T extends Tensor>(x: T, { rate, seed, layer }: DropoutOptions): T {
  if (rate === 0) return x;
  return tf.tidy(() => {
    const keep = tf.greaterEqual(uniform(x.shape, tf.add(seed, tf.tensor1d([layer, 0], 'int32'))), rate);
    return tf.mul(x, tf.div(tf.cast(keep, 'float32'), 1 - rate));
  });
}

/** Uniform in [0, 1). */
function uniform(shape: number[], seed: Tensor1D): Tensor {
  const backend = activeBackend();
  if (backend === undefined) {
    const [a, b] = seed.dataSync();
    return tf.randomUniform(shape, 0, 1, 'float32', `${a},${b}`);
  }
  const attributes = [
    type('dtype', DataType.FLOAT),
    type('T', DataType.INT32),
    type('Tseed', DataType.INT32),
  ];
  return backend.run({ name: 'StatelessRandomUniform', attributes }, [tf.tensor1d(shape, 'int32'), seed])[0]!;
}
