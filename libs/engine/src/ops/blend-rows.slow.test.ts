// blendRows on tfjs's own CPU backend with very many channels; blend-rows.test.ts has the small sizes.
import tf, { type Tensor2D } from '@tensorflow/tfjs';
import { capture } from '../capture/capture.ts';
import { openEngine } from '../engine.ts';
import { blendRows } from './blend-rows.ts';

test('weighted sums of rows of 131073 channels, rounded half up', async () => {
  const engine = await openEngine({ engine: 'cpu' });
  const channels = 2 ** 17 + 1;
  const inputs = () => ({
    x: tf.tidy(() => tf.tile(tf.tensor2d([[1], [102], [3], [255]]), [1, channels])) as Tensor2D,
    rows: tf.tensor2d([[0, 2, 1, 3, 0], [1, 2, 0, 3, 2]], [2, 5], 'int32'), // prettier-ignore
    weights: tf.tensor2d([[0.5, 0.75, 0, 0.5, 0.25], [0.5, 0.25, 0.25, 0.5, 0.125]]), // prettier-ignore
  });
  const lastChannel = (y: Tensor2D) => tf.tidy(() => [...tf.slice(y, [0, channels - 1], [5, 1]).dataSync()]);
  const sums = [52, 3, 0, 255, 1]; // 51.5, 3, 0.25, 255, 0.625
  expect(lastChannel(blendRows(inputs()))).toEqual(sums);
  const step = capture((given: Record<'x' | 'rows' | 'weights', Tensor2D>) => ({ y: blendRows(given) }));
  const before = tf.memory().numTensors;
  const given = inputs();
  const { y } = await step(given);
  expect(lastChannel(y)).toEqual(sums);
  tf.dispose([given, y]);
  expect(tf.memory().numTensors).toBe(before);
  step.dispose();
  engine.close();
});
