// The phase-wise input gradient against tfjs's CPU backend: strides, sizes that leave a remainder, every padding.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { openEngine } from '../engine.ts';

const cases = [2, 3].flatMap((stride) =>
  (['valid', 'same', 3] as const).flatMap((pad) =>
    [7, 4, 3].flatMap((kernel) => [12, 13].map((size) => ({ stride, pad, kernel, size }))),
  ),
);

/** The input gradients of Σ y² for every case, on the engine named. */
async function gradients(kind: 'tensorflow' | 'cpu') {
  const engine = await openEngine({ engine: kind });
  const wave = (n: number, step: number) => Float32Array.from({ length: n }, (_, i) => Math.sin(i * step));
  const results = cases.map(({ stride, pad, kernel, size }) =>
    tf.tidy(() => {
      const x = tf.tensor4d(wave(2 * size * (size + 3) * 3, 0.7), [2, size, size + 3, 3]);
      const filter = tf.tensor4d(wave(kernel * kernel * 3 * 5, 1.1), [kernel, kernel, 3, 5]);
      const f = (image: tf.Tensor) =>
        tf.sum(tf.square(tf.conv2d(image as Tensor4D, filter, stride, pad))) as tf.Scalar;
      return tf.grad(f)(x).dataSync();
    }),
  );
  engine.close();
  return results;
}

it('is the gradient', async () => {
  const [native, reference] = [await gradients('tensorflow'), await gradients('cpu')];
  cases.forEach((parameters, i) => {
    const largest = Math.max(...native[i]!.map((value, k) => Math.abs(value - reference[i]![k]!)));
    expect({ ...parameters, close: largest < 1e-4 * Math.max(...reference[i]!.map(Math.abs)) }).toEqual({
      ...parameters,
      close: true,
    });
  });
});
