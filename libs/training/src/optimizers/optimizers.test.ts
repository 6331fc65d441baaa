// Optimizers against torch.optim in float64 (fixtures/record-training.py): 24 steps with a rate that changes at each.
import { readFileSync } from 'node:fs';
import { capture, createLossScale, createOptimizer, type Engine, openEngine } from '@ct-ensemble/engine';
import tf, { type Scalar, type Tensor1D, type Variable } from '@tensorflow/tfjs';
import { optimizerSchema, ruleOf } from './index.ts';

const recorded = (
  JSON.parse(readFileSync(new URL('../fixtures/training.json', import.meta.url), 'utf8')) as {
    optimizers: {
      start: number[];
      factors: number[];
      rates: number[];
      /** The path holds every so many-th step. */
      every: number;
      cases: {
        options: Record<string, unknown>;
        gradientClip?: number;
        path: number[][];
        state: Record<string, number[]>;
      }[];
    };
  }
).optimizers;

let engine: Engine;
afterEach(() => engine.close());

describe.each([
  ['tensorflow', true],
  ['tensorflow', false],
  ['cpu', false],
] as const)('on the engine %s, captured: %s', (kind, isCaptured) => {
  test.each(recorded.cases.map((found) => ({ title: JSON.stringify(found.options), found })))(
    '$title',
    async ({ found }) => {
      engine = await openEngine({ engine: kind });
      const variable = tf.variable(tf.tensor1d(recorded.start)) as Variable;
      const optimizer = createOptimizer(
        new Map([['p', variable]]),
        ruleOf(optimizerSchema.parse(found.options)),
        found.gradientClip === undefined ? {} : { clipNorm: found.gradientClip },
      );
      const update = ({ rates }: { rates: Tensor1D }) => {
        const squared = () => tf.square(variable);
        const loss = () =>
          tf.sum(tf.mul(tf.tensor1d(recorded.factors), tf.div(squared(), tf.add(1, squared())))) as Scalar;
        optimizer.update(tf.variableGrads(loss, [variable]).grads, rates);
        return {};
      };
      const step = isCaptured ? capture(update) : update;
      const path: number[][] = [];
      for (const [i, rate] of recorded.rates.entries()) {
        await step({ rates: optimizer.rates(rate, i + 1) });
        if ((i + 1) % recorded.every === 0) path.push(Array.from(variable.dataSync()));
      }
      expect(path).toHaveLength(found.path.length);
      // Sums of 24 float32 steps; weights are between 0.1 and 2.
      path.flat().forEach((value, i) => expect(Math.abs(value - found.path.flat()[i]!)).toBeLessThan(3e-6));
      const { state } = optimizer.slots.get('p')!;
      expect(Object.keys(state).sort()).toEqual(Object.keys(found.state).sort());
      for (const [name, values] of Object.entries(found.state)) {
        const scale = Math.max(...values.map(Math.abs));
        Array.from(state[name]!.dataSync()).forEach((value, i) =>
          // 1 − β₂ in float32 is 5e-5 off for β₂ 0.999.
          expect(Math.abs(value - values[i]!) / scale).toBeLessThan(name === 'exp_avg_sq' ? 6e-5 : 3e-6),
        );
      }
    },
  );

  test.each([
    { name: 'adam', weightDecay: 0.1 },
    { name: 'adamw' },
    { name: 'sgd', weightDecay: 0.1 },
    { name: 'sgd', momentum: 0.9, nesterov: true, weightDecay: 0.1 },
  ])('a gradient that is not finite leaves weights and state as they are: %j', async (options) => {
    engine = await openEngine({ engine: kind });
    const variable = tf.variable(tf.tensor1d([1, 2])) as Variable;
    const lossScale = createLossScale({ initial: 8 });
    const optimizer = createOptimizer(new Map([['w', variable]]), ruleOf(optimizerSchema.parse(options)), {
      lossScale,
    });
    const update = ({ factors, rates }: { factors: Tensor1D; rates: Tensor1D }) => {
      const loss = () => lossScale.times(tf.sum(tf.mul(variable, factors)) as Scalar);
      optimizer.update(tf.variableGrads(loss, [variable]).grads, rates);
      return {};
    };
    const step = isCaptured ? capture(update) : update;
    const run = (...factors: number[]) =>
      step({ factors: tf.tensor1d(factors), rates: optimizer.rates(0.1, 1) });
    const values = () =>
      [variable, ...Object.values(optimizer.slots.get('w')!.state)].map((kept) => [...kept.dataSync()]);
    await run(1, -1);
    const before = values();
    expect(before[0]).not.toEqual([1, 2]);
    await run(Infinity, 1);
    await run(1, NaN);
    expect(values()).toEqual(before);
    expect(lossScale.variables.scale.dataSync()[0]).toBe(2);
  });
});
