import { openEngine } from '@ct-ensemble/engine';
import type { Parameter } from '@ct-ensemble/models';
import tf, { type Scalar } from '@tensorflow/tfjs';
import { adamRates, createAdam } from './adam.ts';

test("five steps are torch.optim.Adam's, also when the learning rate changes", async () => {
  const engine = await openEngine();
  const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
  const variable = tf.variable(tf.tensor1d([0.5, -1, 2]));
  const parameter: Parameter = { name: 'p', layout: 'vector', variable };
  const adam = createAdam([parameter], options);
  const factors = tf.tensor1d([1, -2, 0.5]);
  const path: number[][] = [];
  for (let step = 1; step <= 5; step++) {
    const { grads } = tf.variableGrads(
      () => tf.sum(tf.mul(tf.pow(variable, 3), factors)) as Scalar,
      [variable],
    );
    const { rate, epsilon } = adamRates(options, step <= 3 ? 0.01 : 0.001, step);
    adam.update(grads, { rate: tf.scalar(rate), epsilon: tf.scalar(epsilon) });
    path.push(Array.from(variable.dataSync()));
  }
  // PyTorch 2.15, float64, loss = Σ factors · p³.
  const expected = [
    [0.49000000013333334, -0.9900000000166667, 1.9900000000166667],
    [0.4800125683430032, -0.9800057439714254, 1.9800027387139132],
    [0.4700464057320255, -0.9700211241838093, 1.970010052982603],
    [0.4690528060932845, -0.9690240183099719, 1.9690114258935716],
    [0.4680610027384292, -0.9680277399748333, 1.9680131964893355],
  ];
  path.flat().forEach((value, i) => expect(value).toBeCloseTo(expected.flat()[i]!, 6));
  engine.close();
});
