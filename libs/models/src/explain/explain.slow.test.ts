// Trains a small network to decide by one slice: the slices' scores find it.
import { findTensorFlow, openEngine } from '@ct-ensemble/engine';
import tf, { type Rank, type Scalar, type Tensor1D, type Tensor4D } from '@tensorflow/tfjs';
import { buildModel } from '../registry.ts';
import { explain } from './explain.ts';
import { rankOf } from './slice-maps.ts';

/** A bright square in this slice makes a volume positive. */
const PLANTED = 2;

test('the scores find the slice that a trained network decides by, and not with random weights', async () => {
  const engine = await openEngine({ engine: findTensorFlow() ? 'tensorflow' : 'cpu' });
  const model = buildModel('densenet_small', { views: [5], classes: 2, seed: 5 });
  const optimizer = tf.train.adam(0.01);
  for (let step = 0; step < 150; step++) {
    tf.tidy(() => {
      const { x, labels } = planted(step, 16);
      optimizer.minimize(() => {
        const logits = model.forward(x, { training: true });
        return tf.losses.softmaxCrossEntropy(tf.oneHot(labels, 2), logits) as Scalar;
      });
    });
  }
  const { x } = planted(1000, 16);
  const positives = [1, 3, 5, 7].map((i) => tf.slice(x, [i, 0, 0, 0], [1, 24, 24, 5]));
  const random = buildModel('densenet_small', { views: [5], classes: 2, seed: 6 });
  for (const one of positives) {
    const options = { target: 1, method: 'hires-cam' } as const;
    const [found, other] = [await explain(model, one, options), await explain(random, one, options)];
    expect(found.logits[1]!).toBeGreaterThan(found.logits[0]!);
    const [scores, otherScores] = [found.views[0]!.scores, other.views[0]!.scores];
    expect(rankOf(scores)[0]).toBe(PLANTED);
    const share = (values: readonly number[]) =>
      values[PLANTED]! / values.reduce((sum, value) => sum + Math.abs(value), 0);
    expect(share(scores)).toBeGreaterThan(0.4);
    expect(share(otherScores)).toBeLessThan(0.4);
  }
  optimizer.dispose();
  tf.dispose([x, ...positives]);
  model.dispose();
  random.dispose();
  engine.close();
});

/** `count` volumes of 5 slices of 24 × 24; those with odd numbers are positive. */
function planted(seedOfBatch: number, count: number): { x: Tensor4D; labels: Tensor1D } {
  const value = (i: number) => Math.abs(Math.sin(12.9898 * (i + 1) + 78.233 * seedOfBatch) * 43758.5453) % 1;
  const data = new Float32Array(count * 24 * 24 * 5);
  let draw = 0;
  for (let n = 0; n < count; n++)
    for (let slice = 0; slice < 5; slice++) {
      const [top, left] = [2 + Math.floor(12 * value(draw++)), 2 + Math.floor(12 * value(draw++))];
      const isBright = slice === PLANTED && n % 2 === 1;
      for (let y = 0; y < 24; y++)
        for (let x = 0; x < 24; x++) {
          const inside = y >= top && y < top + 8 && x >= left && x < left + 8;
          const grey = 0.3 + 0.1 * value(draw++) + (isBright && inside ? 0.5 : 0);
          data[((n * 24 + y) * 24 + x) * 5 + slice] = grey;
        }
    }
  const labels = tf.tensor1d(Array.from({ length: count }, (_, n) => n % 2), 'int32'); // prettier-ignore
  return { x: tf.tensor<Rank.R4>(data, [count, 24, 24, 5]), labels };
}
