// The gradient of a nearest-neighbour resize on tfjs's CPU backend against the closed form.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { type Engine, openEngine } from '../engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ engine: 'cpu' });
});
afterAll(() => engine.close());

test('every pixel gets the sum over those that it became, in each image of a batch', () => {
  const [batch, height, width, channels] = [3, 2, 3, 2];
  const dy = tf
    .range(0, batch * 4 * height * width * channels)
    .reshape([batch, 2 * height, 2 * width, channels]);
  const gradient = tf.grad((x) => tf.image.resizeNearestNeighbor(x as Tensor4D, [2 * height, 2 * width]));
  const before = tf.memory().numTensors;
  const dx = gradient(tf.zeros([batch, height, width, channels]), dy);
  expect(tf.memory().numTensors).toBe(before + 2); // dx, and the image given to it
  const expected = tf.sum(tf.reshape(dy, [batch * height, 2, width, 2, channels]), [1, 3]);
  expect([...dx.dataSync()]).toEqual([...expected.dataSync()]);
});
