import tf from '@tensorflow/tfjs';
import { capture } from '../capture/capture.ts';
import { type Engine, openEngine } from '../engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
});
afterAll(() => engine.close());

/** Strings of up to 22 bytes, which TensorFlow stores inline, and longer ones. */
const words = ['', 'a', 'Lunge è 肺', 'x'.repeat(22), 'y'.repeat(23), 'z'.repeat(300), '\0b'];

it('strings go through TensorFlow unchanged: empty, short, long, beyond ASCII', () => {
  const joined = tf.tidy(() => tf.concat([tf.tensor1d(words), tf.tensor1d(words)]).dataSync<'string'>());
  expect(joined).toEqual([...words, ...words]);
});

it('keeps shapes: none at all, 0-d, 2-d', () => {
  expect(tf.tile(tf.tensor2d(['a', 'b'], [2, 1]), [1, 2]).arraySync()).toEqual([['a', 'a'], ['b', 'b']]); // prettier-ignore
  expect(tf.reshape(tf.scalar('alone'), [1, 1]).arraySync()).toEqual([['alone']]);
  expect(tf.slice(tf.tensor1d(words), 1, 0).arraySync()).toEqual([]);
});

it('compares strings, with broadcasting', () => {
  const names = tf.tensor1d(['b', 'a', 'c']);
  expect(Array.from(tf.equal(names, tf.scalar('a')).dataSync())).toEqual([0, 1, 0]);
  expect(Array.from(tf.less(names, tf.scalar('b')).dataSync())).toEqual([0, 1, 0]);
  expect(Array.from(tf.greaterEqual(names, tf.scalar('b')).dataSync())).toEqual([1, 0, 1]);
});

it('rejects strings by name if TensorFlow has no such op, and remains usable', () => {
  const names = tf.tensor1d(['a', 'b']);
  const reverse = () => tf.engine().runKernel('Cumsum', { x: names }, { axis: 0 });
  expect(reverse).toThrow(/Cumsum/);
  expect(tf.add(1, 1).dataSync()[0]).toBe(2);
});

it('passes through a captured step, as input, constant and output', async () => {
  const step = capture(({ x }: { x: tf.Tensor }) => ({ y: tf.concat([x, tf.tensor1d(['const'])]) }));
  const x = tf.tensor1d(words);
  const { y } = await step({ x });
  expect(y.dataSync()).toEqual([...words, 'const']);
  const reads = capture(({ a }: { a: tf.Tensor }) => ({ y: tf.less(a, a) }));
  await expect(reads({ a: x })).rejects.toThrow(/were read inside a captured step/);
});

it('frees the memory of long strings', () => {
  const megabyte = 'm'.repeat(2 ** 20);
  const round = () =>
    tf.tidy(() => {
      const [first] = tf.concat([tf.tensor1d([megabyte]), tf.tensor1d(['b'])]).dataSync<'string'>();
      expect(first!.length).toBe(megabyte.length);
    });
  for (let i = 0; i < 20; i++) round();
  const before = process.memoryUsage.rss();
  for (let i = 0; i < 300; i++) round();
  expect((process.memoryUsage.rss() - before) / 2 ** 20).toBeLessThan(150);
});
