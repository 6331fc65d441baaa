// Transposing in JavaScript gives what tfjs's own transpose gives.
import tf from '@tensorflow/tfjs';
import { transposeInPlace } from './transpose.ts';

beforeAll(() => tf.setBackend('cpu'));

test.each([
  [[3, 5, 7, 40], [3, 2, 0, 1]], // a convolution's HWIO → OIHW, across a block's edge
  [[1, 1, 65, 33], [3, 2, 0, 1]],
  [[7, 9, 1, 16], [3, 2, 0, 1]],
  [[64, 70], [1, 0]],
  [[2, 3, 4], [1, 0, 2]],
])('%j by %j', async (shape, axes) => {
  const size = shape.reduce((product, edge) => product * edge, 1);
  const data = Float32Array.from({ length: size }, (_, i) => i);
  const expected = await tf.transpose(tf.tensor(data.slice(), shape), axes).data();
  transposeInPlace({ data, shape, axes });
  expect(data).toEqual(expected);
}); // prettier-ignore
