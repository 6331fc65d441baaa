// Loss, gradients and running statistics are the same with and without recomputation in the backward pass.
import { openEngine } from '@ct-ensemble/engine';
import tf, { type Scalar, type Tensor4D } from '@tensorflow/tfjs';
import { buildModel } from '../registry.ts';

test.each(['tensorflow', 'cpu'] as const)('recomputed dense layers on the engine %s', async (kind) => {
  const engine = await openEngine({ engine: kind });
  const x = tf.tensor4d(
    Float32Array.from({ length: 2 * 32 * 32 * 4 }, (_, i) => Math.sin(i)),
    [2, 32, 32, 4],
  );
  const run = async (recompute: boolean) => {
    const model = buildModel('densenet_small', { views: [4], classes: 2, seed: 3 });
    const { value, grads } = tf.variableGrads(
      () => tf.sum(tf.square(model.forward(x as Tensor4D, { training: true, recompute }))) as Scalar,
      model.parameters.trainable().map(({ variable }) => variable),
    );
    const numbers = [...(await value.data())];
    for (const { variable } of model.parameters.byName.values())
      numbers.push(...(await (grads[variable.name] ?? variable).data()));
    return numbers;
  };
  const [kept, recomputed] = [await run(false), await run(true)];
  expect(recomputed).toHaveLength(kept.length);
  const largest = Math.max(...kept.map((value, i) => Math.abs(value - recomputed[i]!)));
  expect(largest).toBeLessThan(1e-4 * Math.max(...kept.map(Math.abs)));
  engine.close();
});
