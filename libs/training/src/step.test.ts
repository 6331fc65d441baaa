// A captured training step of a network with dropout (Inception-v3's): the draws are an input.
import { type Engine, openEngine } from '@ct-ensemble/engine';
import { buildModel } from '@ct-ensemble/models';
import tf, { type Tensor1D, type Tensor2D } from '@tensorflow/tfjs';
import { memberOptimizer, trainingStep, volumesTensor } from './step.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
});
afterAll(() => engine.close());

test('equal seeds drop the same, others others, none nothing', async () => {
  const model = buildModel('inception_v3_small', { views: [2], classes: 2, seed: 1 });
  const optimizer = memberOptimizer(model, {
    optimizer: { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  });
  const step = trainingStep({ model, optimizer, loss: { name: 'focal', gamma: 0 } });
  const shape = [4, 2, 75, 75];
  const bytes = Uint8Array.from({ length: 4 * 2 * 75 * 75 }, (_, i) => (i * i) >> 5);
  const lossOf = async (seed?: [number, number]) => {
    const { loss } = await step({
      volumes: volumesTensor(bytes, shape),
      truth: tf.tensor2d([1, 0, 0, 1, 1, 0, 0, 1], [4, 2]) as Tensor2D,
      rates: optimizer.rates(0, 1), // nothing is learned in between
      ...(seed && { dropout: tf.tensor1d(seed, 'int32') as Tensor1D }),
    });
    return (await loss.data())[0];
  };
  const plain = await lossOf();
  const dropped = await lossOf([1, 2]);
  expect(dropped).not.toBe(plain);
  expect(await lossOf([1, 2])).toBe(dropped);
  expect(await lossOf([1, 3])).not.toBe(dropped);
  expect(await lossOf([7, 2])).not.toBe(dropped);
  expect(await lossOf()).toBe(plain);
  step.dispose();
  optimizer.dispose();
  model.dispose();
});
