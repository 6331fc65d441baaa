import tf from '@tensorflow/tfjs';
import { type Engine, openEngine } from '../engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
});
afterAll(() => engine.close());

it('the sign of NaN is 0, as tfjs says', () => {
  expect(Array.from(tf.sign(tf.tensor1d([-3, NaN, 0, 0.5])).dataSync())).toEqual([-1, 0, 0, 1]);
  expect(tf.sign(tf.tensor1d([-3, 4], 'int32')).dtype).toBe('int32');
});

it('whole numbers stay exact where a float would not', () => {
  const x = tf.tensor1d([123456789, -3], 'int32');
  expect(Array.from(tf.round(x).dataSync())).toEqual([123456789, -3]);
  expect(Array.from(tf.step(x, 7).dataSync())).toEqual([1, 7]);
  expect(tf.leakyRelu(x, 0.5).dtype).toBe('float32');
  expect(tf.leakyRelu(x, 0.5).dataSync()[1]).toBe(-1.5);
});

it('a seed settles what multinomial draws, whatever was drawn before', () => {
  const logits = tf.tensor1d([1, 2, 0.5, 1]);
  const draw = (seed: number) => Array.from(tf.multinomial(logits, 50, seed).dataSync());
  const first = draw(3.14);
  expect(draw(0.25)).not.toEqual(first);
  expect(draw(0.5)).not.toEqual(draw(0.25));
  expect(draw(3.14)).toEqual(first);
});

it('multinomial takes probabilities as well as logits', () => {
  const draws = tf.multinomial(tf.tensor1d([0, 0.25, 0.75]), 4000, 1, true).dataSync();
  const share = (outcome: number) => draws.filter((drawn) => drawn === outcome).length / 4000;
  expect(share(0)).toBe(0);
  expect(share(2)).toBeGreaterThan(0.72); // 4 standard errors of 0.0068
  expect(share(2)).toBeLessThan(0.78);
});
