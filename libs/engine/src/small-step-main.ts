// Times a small captured training step: three convolutions and their gradients on 8 images of 64×64, float32.
// Arguments: `cpu` or `gpu`, and the number of the device. Prints one JSON line.
import tf, { type Scalar, type Tensor4D } from '@tensorflow/tfjs';
import { capture } from './capture/capture.ts';
import { openEngine } from './engine.ts';
import { messageOf } from './errors.ts';

const REPEATS = 10;

try {
  const [kind, index] = process.argv.slice(2);
  const engine = await openEngine({ device: { kind: kind === 'gpu' ? 'gpu' : 'cpu', index: Number(index) } });
  const milliseconds = await median();
  console.log(JSON.stringify({ milliseconds, description: engine.description }));
  engine.close();
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}

/** Median milliseconds of the step. */
async function median(): Promise<number> {
  const filters = [16, 32, 64].map((size, i) => {
    const shape: [number, number, number, number] = [3, 3, [3, 16, 32][i]!, size];
    const length = shape.reduce((product, n) => product * n, 1);
    return tf.variable(tf.mul(tf.sin(tf.range(0, length)).reshape(shape), 0.1) as Tensor4D);
  });
  const step = capture(({ x, rate }) => {
    const { value: loss, grads } = tf.variableGrads(() => {
      const end = filters.reduce<Tensor4D>((y, w) => tf.relu(tf.conv2d(y, w, 2, 'same')), x as Tensor4D);
      return tf.mean(tf.square(end)) as Scalar;
    }, filters);
    for (const w of filters) w.assign(tf.sub(w, tf.mul(rate!, grads[w.name]!)));
    return { loss };
  });
  const x = tf.cos(tf.range(0, 8 * 64 * 64 * 3)).reshape([8, 64, 64, 3]);
  const rate = tf.scalar(0.01);
  const times: number[] = [];
  for (let i = 0; i < REPEATS + 2; i++) {
    const started = performance.now();
    const { loss } = await step({ x, rate });
    const value = (await loss.data())[0]!;
    if (!Number.isFinite(value)) throw new Error(`the small step's loss is ${value}, not a number`);
    if (i >= 2) times.push(performance.now() - started);
    loss.dispose();
  }
  return times.sort((a, b) => a - b)[REPEATS >> 1]!;
}
