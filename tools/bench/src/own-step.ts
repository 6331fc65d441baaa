// One training step of this project, timed: the very step that members run, bytes in, weights updated. One step for
// every line on standard input, each answered by a JSON line.
import { createInterface } from 'node:readline';
import { randomStream } from '@ct-ensemble/core';
import { openEngine } from '@ct-ensemble/engine';
import { buildModel } from '@ct-ensemble/models';
import { adamRates, createAdam, trainingStep, volumesTensor } from '@ct-ensemble/training';
import tf, { type Tensor2D } from '@tensorflow/tfjs';
import { stepOptions } from './options.ts';

const { architecture, batch, size, depth, threads } = stepOptions(process.argv.slice(2));
const adamOptions = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
const engine = await openEngine({ device: { kind: 'cpu', index: 0, threads } });
const model = buildModel(architecture, { depth, classes: 2, seed: 1 });
const adam = createAdam(model.parameters.trainable(), adamOptions);
const step = trainingStep({ model, adam, gamma: 1.5 });
const random = randomStream({ seed: 1, purpose: 'bench' });
const bytes = Uint8Array.from({ length: batch * depth * size * size }, () => random.integer(256));
const truth = tf.tensor2d(Array.from({ length: batch }, (_, i) => (i % 2 ? [0, 1] : [1, 0]))) as Tensor2D;

console.log(engine.description);
let steps = 0;
for await (const line of createInterface({ input: process.stdin })) {
  void line;
  const started = performance.now();
  const { rate, epsilon } = adamRates(adamOptions, 1e-4, ++steps);
  const volumes = volumesTensor(bytes, [batch, depth, size, size]);
  const inputs = { volumes, truth, rate: tf.scalar(rate), epsilon: tf.scalar(epsilon) };
  const output = await step(inputs);
  const loss = (await output.loss.data())[0];
  console.log(JSON.stringify({ seconds: (performance.now() - started) / 1000, loss }));
  tf.dispose([inputs.volumes, inputs.rate, inputs.epsilon, output.loss]);
}
engine.close();
