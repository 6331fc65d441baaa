// tfjs-layers on the engine, unchanged: the convolutional network of tfjs's MNIST tutorial learns by `fit`, and the
// same step captured gives the same losses.
import tf, { type LayersModel, type Scalar, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import { capture } from '../capture/capture.ts';
import { type Engine, openEngine } from '../engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
});
afterAll(() => engine.close());

const BATCH = 16;
const COUNT = 64;

/** https://codelabs.developers.google.com/codelabs/tfjs-training-classfication, step 5; weights drawn with seeds. */
function mnistModel(): LayersModel {
  const kernelInitializer = (seed: number) => tf.initializers.varianceScaling({ seed });
  const model = tf.sequential({
    layers: [
      tf.layers.conv2d({
        inputShape: [28, 28, 1],
        kernelSize: 5,
        filters: 8,
        strides: 1,
        activation: 'relu',
        kernelInitializer: kernelInitializer(1),
      }),
      tf.layers.maxPooling2d({ poolSize: [2, 2], strides: [2, 2] }),
      tf.layers.conv2d({
        kernelSize: 5,
        filters: 16,
        strides: 1,
        activation: 'relu',
        kernelInitializer: kernelInitializer(2),
      }),
      tf.layers.maxPooling2d({ poolSize: [2, 2], strides: [2, 2] }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 10, kernelInitializer: kernelInitializer(3), activation: 'softmax' }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(), loss: 'categoricalCrossentropy', metrics: ['accuracy'] });
  return model;
}

/** Images with a bright square whose position depends on the class, on a background of sines. */
function data(): { x: Tensor4D; y: Tensor2D } {
  const pixels = new Float32Array(COUNT * 28 * 28);
  for (let i = 0; i < COUNT; i++) {
    const [top, left] = [5 * Math.floor((i % 10) / 4), 5 * ((i % 10) % 4)];
    for (let p = 0; p < 28 * 28; p++) {
      const [row, column] = [Math.floor(p / 28), p % 28];
      const bright = row >= top && row < top + 9 && column >= left && column < left + 9;
      pixels[i * 28 * 28 + p] = (bright ? 0.8 : 0.2) + 0.2 * Math.sin(i + p * 0.7);
    }
  }
  const labels = tf.tensor1d(
    Int32Array.from({ length: COUNT }, (_, i) => i % 10),
    'int32',
  );
  return {
    x: tf.tensor4d(pixels, [COUNT, 28, 28, 1]),
    y: tf.cast(tf.oneHot(labels, 10), 'float32') as Tensor2D,
  };
}

const EPOCHS = 15;

/** The loss of every batch. */
async function byFit(): Promise<number[]> {
  const model = mnistModel();
  const { x, y } = data();
  const losses: number[] = [];
  await model.fit(x, y, {
    batchSize: BATCH,
    epochs: EPOCHS,
    shuffle: false,
    callbacks: { onBatchEnd: async (_batch, logs) => void losses.push(logs!['loss']!) },
  });
  return losses;
}

async function byCapture(): Promise<{ losses: number[]; calls: number }> {
  const model = mnistModel();
  const { x, y } = data();
  let calls = 0;
  const step = capture(({ x, y }: { x: Tensor4D; y: Tensor2D }) => {
    calls++;
    const f = () =>
      tf.mean(
        tf.metrics.categoricalCrossentropy(y, model.apply(x, { training: true }) as Tensor2D),
      ) as Scalar;
    const { value, grads } = tf.variableGrads(f);
    model.optimizer.applyGradients(grads);
    return { loss: value };
  });
  const losses: number[] = [];
  for (let i = 0; i < (EPOCHS * COUNT) / BATCH; i++) {
    const start = (i * BATCH) % COUNT;
    const [xs, ys] = [tf.slice(x, start, BATCH), tf.slice(y, start, BATCH)];
    const { loss } = await step({ x: xs, y: ys });
    losses.push((await loss.data())[0]!);
    tf.dispose([xs, ys, loss]);
  }
  return { losses, calls };
}

it('fit learns, and the captured step has its losses', async () => {
  const fitted = await byFit();
  expect(fitted).toHaveLength(60);
  expect(fitted[0]!).toBeGreaterThan(1.5);
  expect(fitted.at(-1)!).toBeLessThan(fitted[0]! / 2);
  tf.disposeVariables();
  const { losses, calls } = await byCapture();
  expect(calls).toBe(2); // the optimizer creates its moments at its first call
  expect(losses).toHaveLength(fitted.length);
  losses.forEach((loss, i) => expect(Math.abs(loss / fitted[i]! - 1)).toBeLessThan(1e-5));
});

it('a dropout layer, whose draws a captured step would freeze, is refused by name', async () => {
  const model = tf.sequential({ layers: [tf.layers.dropout({ rate: 0.5, inputShape: [4] })] });
  const step = capture(({ x }: { x: Tensor2D }) => ({ y: model.apply(x, { training: true }) as Tensor2D }));
  await expect(step({ x: tf.ones([2, 4]) })).rejects.toMatchObject({
    code: 'capture',
    message: expect.stringMatching(/draws random numbers in JavaScript.*as an input/),
  });
});
