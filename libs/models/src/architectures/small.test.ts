// The small variant of every network: TensorFlow and tfjs's own CPU backend compute the same.
import { openEngine, type EngineKind } from '@ct-ensemble/engine';
import tf, { type Scalar, type Tensor, type Tensor4D } from '@tensorflow/tfjs';
import { fillGolden, percentile } from '../goldens.ts';
import { architectureNames, architectures, buildNetwork } from '../registry.ts';

const small = architectureNames().filter((name) => name.endsWith('_small'));

/** Logits, the loss of a training step, the logits after it, and the step's gradients by name. */
async function compute(name: string, kind: EngineKind) {
  const engine = await openEngine({ engine: kind });
  try {
    const { output, input } = architectures[name]!;
    const views = output === 'map' ? [] : [4, 2];
    const edge = Math.max(input.minimumEdge, 24); // a multiple of 8; tfjs's backend is slow
    const model = buildNetwork(name, { views, classes: 3 });
    fillGolden(model.parameters, name);
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

test.each(small)('%s', async (name) => {
  const [ours, plain] = [await compute(name, 'tensorflow'), await compute(name, 'cpu')];
  expect(distance(ours.logits, plain.logits)).toBeLessThan(1e-5);
  expect(Math.abs(ours.loss / plain.loss - 1)).toBeLessThan(1e-4);
  expect(distance(ours.after, plain.after)).toBeLessThan(1e-4);
  const largest = Math.max(...plain.gradients.map(norm));
  const errors = plain.gradients.flatMap((gradient, i) =>
    norm(gradient) > 1e-3 * largest ? [distance(gradient, ours.gradients[i]!)] : [],
  );
  expect(errors.length).toBeGreaterThan(5);
  expect(percentile(errors, 50)).toBeLessThan(0.01);
  expect(percentile(errors, 95)).toBeLessThan(0.05);
});
