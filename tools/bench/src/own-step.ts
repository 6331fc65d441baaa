// One training step of this project, timed: the very step that members run, bytes in, weights updated.
import { permutation } from '@ct-ensemble/core';
import { openEngine } from '@ct-ensemble/engine';
import { buildModel } from '@ct-ensemble/models';
import { adamRates, createAdam, trainingStep, volumesTensor } from '@ct-ensemble/training';
import tf, { type Tensor2D } from '@tensorflow/tfjs';
import { stepOptions } from './options.ts';

const { architecture, batch, size, depth, steps, threads } = stepOptions(process.argv.slice(2));
const adamOptions = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
const engine = await openEngine({ device: { kind: 'cpu', index: 0, threads } });
const model = buildModel(architecture, { depth, classes: 2, seed: 1 });
const adam = createAdam(model.parameters.trainable(), adamOptions);
const step = trainingStep({ model, adam, gamma: 1.5 });
const bytes = Uint8Array.from(
  permutation(batch * depth * size * size, { seed: 1, purpose: 'bench' }),
  (n) => n & 0xff,
);
const truth = tf.tensor2d(Array.from({ length: batch }, (_, i) => (i % 2 ? [0, 1] : [1, 0]))) as Tensor2D;
const seconds: number[] = [];
const losses: number[] = [];
for (let i = 1; i <= steps; i++) {
  const started = performance.now();
  const { rate, correction } = adamRates(adamOptions, 1e-4, i);
  const inputs = {
    volumes: volumesTensor(bytes, [batch, depth, size, size]),
    truth,
    rate: tf.scalar(rate),
    correction: tf.scalar(correction),
  };
  const { loss } = await step(inputs);
  losses.push((await loss.data())[0]!);
  seconds.push((performance.now() - started) / 1000);
  tf.dispose([inputs.volumes, inputs.rate, inputs.correction, loss]);
}
console.log(JSON.stringify({ seconds, losses, rss: process.memoryUsage().rss, library: engine.description }));
engine.close();
