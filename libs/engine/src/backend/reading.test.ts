// Reading tensors on a GPU's path, which waits on another thread. The CPU stands in for the GPU.
import tf from '@tensorflow/tfjs';
import { activeBackend } from './backend.ts';
import { openEngine, type Engine } from '../engine.ts';

let engine: Engine;
beforeEach(async () => {
  engine = await openEngine();
  activeBackend()!.engine.isUsingGpuDevice = () => true;
});
afterEach(() => engine.close());

test('values of every type are read, also of a tensor that is disposed meanwhile', async () => {
  const doubled = tf.mul(tf.tensor1d([1, 2, 3.5]), 2);
  const reading = doubled.data();
  doubled.dispose();
  expect(await reading).toEqual(Float32Array.of(2, 4, 7));
  expect(await tf.cast(tf.tensor1d([1.5, -2]), 'int32').data()).toEqual(Int32Array.of(1, -2));
  expect(await tf.less(tf.tensor1d([1, 5]), 3).data()).toEqual(Uint8Array.of(1, 0));
  expect(await tf.tensor1d(['a', 'b']).data()).toEqual(['a', 'b']);
  expect(await tf.tensor1d([4]).data()).toEqual(Float32Array.of(4)); // not uploaded yet
});

test('reading leaves no tensor behind', async () => {
  const x = tf.mul(tf.tensor1d([1, 2]), 2);
  const before = engine.tensors;
  for (let i = 0; i < 10; i++) await x.data();
  expect(engine.tensors).toBe(before);
});

test('an engine that is closed meanwhile ends the reading with an error', async () => {
  const reading = tf.mul(tf.ones([100]), 2).data();
  engine.close();
  await expect(reading).rejects.toMatchObject({ code: 'stopped' });
});
