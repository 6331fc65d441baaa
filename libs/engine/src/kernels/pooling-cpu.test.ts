// The gradient of an average pool with padding 'same' on tfjs's CPU backend against the closed form.
import tf from '@tensorflow/tfjs';
import { type Engine, openEngine } from '../engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ engine: 'cpu' });
});
afterAll(() => engine.close());

test('every pixel gets, of each window it lies in, dy over the number of pixels that count', () => {
  const [height, width] = [3, 4];
  const dy = tf.tensor4d(
    Float32Array.from({ length: 12 }, (_, i) => i + 1),
    [1, height, width, 1],
  );
  const gradient = tf.grad((x) => tf.avgPool(x as tf.Tensor4D, 3, 1, 'same'));
  const before = tf.memory().numTensors;
  const dx = gradient(tf.ones([1, height, width, 1]), dy);
  expect(tf.memory().numTensors).toBe(before + 2); // dx, and the image given to it
  const near = (center: number, size: number) =>
    [center - 1, center, center + 1].filter((at) => at >= 0 && at < size);
  const expected = Array.from({ length: 12 }, (_, i) => {
    const [y, x] = [Math.floor(i / width), i % width];
    return near(y, height)
      .flatMap((v) =>
        near(x, width).map((u) => (v * width + u + 1) / (near(v, height).length * near(u, width).length)),
      )
      .reduce((sum, value) => sum + value);
  });
  dx.dataSync().forEach((value, i) => expect(value).toBeCloseTo(expected[i]!, 5));
});
