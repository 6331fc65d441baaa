// Compares what a network computes on TensorFlow with what it computes on tfjs's own CPU backend.
import { openEngine, type EngineKind } from '@ct-ensemble/engine';
import tf, { type Scalar, type Tensor, type Tensor4D } from '@tensorflow/tfjs';
import { fillGolden, percentile } from '../goldens.ts';
import { architectures, buildNetwork } from '../registry.ts';

/** Logits, the loss of one training step, the logits after it, and the gradients of that step. */
async function compute(name: string, kind: EngineKind) {
  const engine = await openEngine({ engine: kind });
  try {
    const { output, input } = architectures[name]!;
    const views = output === 'map' ? [] : [4, 2];
    const edge = Math.max(input.minimumEdge, 24); // small, because tfjs's CPU backend is slow; a multiple of 8
    const model = buildNetwork(name, { views, classes: 3 });
    fillGolden(model.parameters, { seed: 'golden', net: name });
    return tf.tidy(() => {
      const shape: [number, number, number, number] = [3, edge, edge, output === 'map' ? 3 : 6];
      const values = Float32Array.from(
        { length: tf.util.sizeFromShape(shape) },
        (_, i) => Math.sin(i * i) / 2 + 0.5,
      );
      const x: Tensor4D = tf.tensor4d(values, shape);
      const logits = [...model.forward(x, { training: false }).dataSync()];
      const { value, grads } = tf.variableGrads(
        () => tf.mean(tf.square(tf.sub(model.forward(x, { training: true }) as Tensor, 1))) as Scalar,
        model.parameters.trainable().map(({ variable }) => variable),
      );
      const gradients = model.parameters
        .trainable()
        .map(({ variable }) => [...grads[variable.name]!.dataSync()]);
      const after = [...model.forward(x, { training: false }).dataSync()];
      return { logits, loss: value.dataSync()[0]!, after, gradients };
    });
  } finally {
    engine.close();
  }
}

const norm = (values: readonly number[]) => Math.hypot(...values);
/** |a − b| / |a| */
const distance = (a: readonly number[], b: readonly number[]) =>
  norm(a.map((value, i) => value - b[i]!)) / norm(a);

/** Expects equal logits, loss, running statistics and gradients on both engines, but for float32's rounding. */
export async function expectEnginesAgree(name: string) {
  const [tensorflow, cpu] = [await compute(name, 'tensorflow'), await compute(name, 'cpu')];
  expect(distance(tensorflow.logits, cpu.logits)).toBeLessThan(1e-5);
  expect(Math.abs(tensorflow.loss / cpu.loss - 1)).toBeLessThan(1e-4);
  expect(distance(tensorflow.after, cpu.after)).toBeLessThan(1e-4);
  const largest = Math.max(...cpu.gradients.map(norm));
  const errors = cpu.gradients.flatMap((gradient, i) =>
    norm(gradient) > 1e-3 * largest ? [distance(gradient, tensorflow.gradients[i]!)] : [],
  );
  expect(errors.length).toBeGreaterThan(5);
  expect(percentile(errors, 50)).toBeLessThan(0.01);
  expect(percentile(errors, 95)).toBeLessThan(0.05);
}

/** The small variants: the networks of the registry whose names end in `_small`. */
export const smallNetworks = Object.keys(architectures).filter((name) => name.endsWith('_small'));

/** Whether a network's smallest image is so small that tfjs's CPU backend computes a training step in about a second. */
export const isQuick = (name: string) => architectures[name]!.input.minimumEdge <= 32;
