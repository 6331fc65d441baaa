// A worker thread that trains a small network on one device: convolutions, batch normalisation and a loss like the focal loss, in
// float32, with captured steps. Data and initial weights are the same at every start.
import { createHash } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { randomStream } from '@ct-ensemble/core';
import { batchNormTraining, capture, type Device, openEngine } from '@ct-ensemble/engine';
import tf, { type Scalar, type Tensor2D, type Tensor4D, type Variable } from '@tensorflow/tfjs';

/** What the worker is to do; its `workerData`. */
export interface Order {
  device: Device;
  deterministic: boolean;
  steps: number;
}

/** The result of a training; the worker's only message. */
export interface Trained {
  /** The engine's description of itself: library, version and device. */
  description: string;
  /** The engine's notes. */
  notes: readonly string[];
  /** Loss of each step. */
  losses: number[];
  /** SHA-256 of the weights after the last step. */
  weights: string;
  /** Wall time of all steps. */
  seconds: number;
}

const BATCH = 8;
const EDGE = 32;
const CHANNELS = [3, 16, 32, 64];

const { device, deterministic, steps } = workerData as Order;
const engine = await openEngine({ device, deterministic });
const random = randomStream({ seed: 1, purpose: 'gpu-check' });
const draw = (shape: number[], scale: number) =>
  tf.tensor(
    Float32Array.from(
      { length: shape.reduce((product, n) => product * n, 1) },
      () => (random.uniform() - 0.5) * scale,
    ),
    shape,
  );

const layers = CHANNELS.slice(1).map((size, i) => ({
  filter: tf.variable(draw([3, 3, CHANNELS[i]!, size], 0.4) as Tensor4D),
  scale: tf.variable(tf.ones([size])) as Variable<tf.Rank.R1>,
  offset: tf.variable(tf.zeros([size])) as Variable<tf.Rank.R1>,
}));
const head = tf.variable(draw([CHANNELS.at(-1)!, 2], 0.4) as Tensor2D);
const variables: Variable[] = [
  ...layers.flatMap(({ filter, scale, offset }) => [filter, scale, offset]),
  head,
];
const images = draw([BATCH, EDGE, EDGE, CHANNELS[0]!], 2);
const truth = tf
  .oneHot(
    tf.tensor1d(
      Array.from({ length: BATCH }, (_, i) => i % 2),
      'int32',
    ),
    2,
  )
  .toFloat();

const step = capture(({ x, y, rate }) => {
  const { value: loss, grads } = tf.variableGrads(() => {
    let features = x as Tensor4D;
    for (const { filter, scale, offset } of layers) {
      const convolved = tf.conv2d(features, filter as Tensor4D, 2, 'same');
      features = tf.relu(batchNormTraining({ x: convolved, scale, offset, epsilon: 1e-5 }).y);
    }
    const scores = tf.matMul(tf.mean(features, [1, 2]) as Tensor2D, head as Tensor2D);
    const likelihood = tf.sum(tf.mul(tf.softmax(scores), y!), 1);
    return tf.neg(tf.mean(tf.mul(tf.square(tf.sub(1, likelihood)), tf.log(likelihood)))) as Scalar;
  }, variables);
  for (const variable of variables) variable.assign(tf.sub(variable, tf.mul(rate!, grads[variable.name]!)));
  return { loss };
});

const losses: number[] = [];
const started = performance.now();
const rate = tf.scalar(0.05);
for (let i = 0; i < steps; i++) {
  const { loss } = await step({ x: images, y: truth, rate });
  losses.push((await loss.data())[0]!);
  loss.dispose();
}
const seconds = (performance.now() - started) / 1000;
const hash = createHash('sha256');
for (const variable of variables) {
  const values = variable.dataSync() as Float32Array;
  hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}
const { description, notes } = engine;
engine.close();
parentPort!.postMessage({
  description,
  notes,
  losses,
  weights: hash.digest('hex'),
  seconds,
} satisfies Trained);
