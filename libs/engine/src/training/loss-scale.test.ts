// Loss scaling: arithmetic against closed forms, updates that are left out, and float16's range, which is what it is for.
import tf, { type Scalar, type Tensor1D, type Variable } from '@tensorflow/tfjs';
import { capture, precisionOf } from '../capture/capture.ts';
import { type Engine, type EngineKind, openEngine } from '../engine.ts';
import { createLossScale } from './loss-scale.ts';
import { createAdam } from './optimizer.ts';

let engine: Engine | undefined;
afterEach(() => {
  engine?.close();
  engine = undefined;
});

/** Gradients are `factors`, which come in: the loss is their product with the weights. */
async function setUp(kind: EngineKind, growthInterval = 2) {
  engine = await openEngine({ engine: kind });
  const variable = tf.variable(tf.tensor1d([1, 2])) as Variable;
  const lossScale = createLossScale({ initial: 8, growthInterval });
  const options = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.1, averageDecay: 0.9 };
  const adam = createAdam(new Map([['w', variable]]), { ...options, lossScale });
  const step = capture(({ factors, rates }: { factors: Tensor1D; rates: Tensor1D }) => {
    const { value, grads } = tf.variableGrads(
      () => lossScale.times(tf.sum(tf.mul(variable, factors)) as Scalar),
      [variable],
    );
    adam.update(grads, rates);
    return { value };
  });
  let updates = 0;
  const run = async (...factors: number[]) => {
    const { value } = await step({ factors: tf.tensor1d(factors), rates: adam.rates(0.01, ++updates) });
    return value.dataSync()[0]!;
  };
  const { exp_avg: first, exp_avg_sq: second } = adam.slots.get('w')!.state;
  const { average } = adam.averages.get('w')!;
  const state = () => [variable, first!, second!, average].map((kept) => [...kept.dataSync()]);
  return { run, state, scale: () => lossScale.variables.scale.dataSync()[0]!, options };
}

describe.each(['tensorflow', 'cpu'] as const)('on the engine %s', (kind) => {
  test('the update is that of the loss itself', async () => {
    const { run, state } = await setUp(kind);
    expect(await run(3, -5)).toBe(8 * (3 - 10));
    // First update of AdamW: w · (1 − lr · decay) − lr · sign(g); m = (1 − β₁) g; v = (1 − β₂) g².
    const [w, first, second, average] = state() as [number[], number[], number[], number[]];
    [0.999 - 0.01, 1.998 + 0.01].forEach((value, i) => {
      expect(w[i]).toBeCloseTo(value, 5);
      expect(average[i]).toBeCloseTo(0.9 * (i + 1) + 0.1 * value, 5);
    });
    [0.3, -0.5].forEach((value, i) => expect(first[i]).toBeCloseTo(value, 6));
    [0.009, 0.025].forEach((value, i) => expect(second[i]).toBeCloseTo(value, 6));
  });

  test('a gradient that is not finite leaves all as it is and halves the factor; two good updates double it', async () => {
    const { run, state, scale } = await setUp(kind);
    await run(1, 1);
    const before = state();
    for (const bad of [NaN, Infinity, -Infinity]) {
      await run(1, bad);
      expect(state()).toEqual(before);
    }
    expect(scale()).toBe(1);
    await run(1, 1);
    expect(scale()).toBe(1);
    await run(1, 1);
    expect(scale()).toBe(2);
    expect(state().flat().every(Number.isFinite)).toBe(true);
  });
});

test('in float16 a small gradient is lost without the factor and kept with it', async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
  expect(precisionOf('mixed-float16')).toEqual({ compute: 'float16', why: 'asked for' });
  const x = tf.fill([4, 8], 0.01);
  const gradient = async (factor: number) => {
    const w = tf.variable(tf.ones([8, 3]));
    const step = capture(
      ({ x }) => {
        const loss = () =>
          tf.mul(tf.sum(tf.matMul(x as tf.Tensor2D, w as tf.Tensor2D)), 1e-8 * factor) as Scalar;
        const { grads } = tf.variableGrads(loss, [w]);
        return { gradient: tf.div(grads[w.name]!, factor) };
      },
      { precision: 'mixed-float16' },
    );
    const { gradient } = await step({ x });
    return gradient!.dataSync()[0]!;
  };
  expect(await gradient(1)).toBe(0); // 1e-8 is below float16's smallest number, 6e-8
  expect(Math.abs((await gradient(2 ** 16)) / 4e-10 - 1)).toBeLessThan(0.01);
});
