// Losses and their gradients against PyTorch (fixtures/record-training.py), and against closed forms.
import { readFileSync } from 'node:fs';
import { type Engine, openEngine } from '@ct-ensemble/engine';
import tf, { type Tensor2D } from '@tensorflow/tfjs';
import { binaryCrossEntropy } from './binary-cross-entropy.ts';
import { computeLoss, type LossOptions, lossSchema } from './index.ts';
import { classWeightsOf, weightOf } from './loss.ts';

interface Case {
  options: Record<string, unknown>;
  loss: number;
  gradient: number[];
}
const recorded = (
  JSON.parse(readFileSync(new URL('../fixtures/training.json', import.meta.url), 'utf8')) as {
    losses: { logits: number[][]; labels: number[]; shares: number[][]; cases: Case[]; mixed: Case[] };
  }
).losses;
const oneHot = (labels: number[], classes: number) =>
  labels.map((label) => Array.from({ length: classes }, (_, i) => Number(i === label)));

interface Batch {
  logits: number[][];
  truth: number[][];
  isMixed?: boolean;
}

function lossAndGradient(options: LossOptions, { logits, truth, isMixed = false }: Batch) {
  const weights = classWeightsOf(
    options,
    truth[0]!.map(() => 1),
  );
  const y = tf.tensor2d(truth);
  const f = (x: tf.Tensor) => computeLoss(options, { logits: x as Tensor2D, truth: y, weights, isMixed });
  const { value, grad } = tf.valueAndGrad(f)(tf.tensor2d(logits));
  return { loss: value.dataSync()[0]!, gradient: Array.from(grad.dataSync()) };
}

function expectRecorded({ options, loss, gradient }: Case, truth: number[][], isMixed = false) {
  const parsed = lossSchema.parse(options);
  const found = lossAndGradient(parsed, { logits: recorded.logits, truth, isMixed });
  expect(Math.abs(found.loss / loss - 1)).toBeLessThan(1e-6);
  const scale = Math.max(...gradient.map(Math.abs));
  found.gradient.forEach((entry, i) => expect(Math.abs(entry - gradient[i]!) / scale).toBeLessThan(1e-6));
}

describe.each(['tensorflow', 'cpu'] as const)('on the engine %s', (kind) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ engine: kind });
  });
  afterAll(() => engine.close());

  test.each(recorded.cases.map((found) => ({ title: JSON.stringify(found.options), found })))(
    '$title is as PyTorch computes it',
    ({ found }) => expectRecorded(found, oneHot(recorded.labels, 3)),
  );

  test.each(recorded.mixed.map((found) => ({ title: JSON.stringify(found.options), found })))(
    '$title of mixed labels is as PyTorch computes it',
    ({ found }) => expectRecorded(found, recorded.shares, true),
  );

  test.each([0, 0.25, 0.5, 0.999, 1, 1.5, 3])(
    'focal loss with γ %d has finite gradients for logits up to ±200, right and wrong',
    (gamma) => {
      for (const size of [0, 10, 30, 100, 200]) {
        for (const extra of [{}, { labelSmoothing: 0.1 }, { classWeights: [1, 2] }]) {
          const logits = [[size, -size], [-size, size], [size, -size], [size, size]]; // prettier-ignore
          const options = lossSchema.parse({ name: 'focal', gamma, ...extra });
          const { loss, gradient } = lossAndGradient(options, { logits, truth: oneHot([0, 0, 1, 0], 2) });
          expect([loss, ...gradient].every(Number.isFinite)).toBe(true);
          if (size > 0) expect(gradient[2]).toBeLessThan(0); // the wrong scan is still learned from
        }
      }
    },
  );

  test('focal loss with γ below 1 keeps its precision where the network is certain', () => {
    // One scan of two classes, x the difference of the logits: q = 1 − p = 1/(1 + eˣ), ℓ = −log p = log(1 + e⁻ˣ);
    // d/dx q^γ ℓ = −q^γ (γ p ℓ + q).
    for (const x of [2, 4, 8]) {
      const [q, p, l, gamma] = [1 / (1 + Math.exp(x)), 1 / (1 + Math.exp(-x)), Math.log1p(Math.exp(-x)), 0.5];
      const found = lossAndGradient(lossSchema.parse({ name: 'focal', gamma }), {
        logits: [[x, 0]],
        truth: [[1, 0]],
      });
      expect(Math.abs(found.gradient[0]! / (-(q ** gamma) * (gamma * p * l + q)) - 1)).toBeLessThan(0.005);
    }
  });
});

describe('the weights of the classes', () => {
  const of = (classWeights: unknown, counts: number[], beta?: number) =>
    classWeightsOf(
      lossSchema.parse({ name: 'cross-entropy', classWeights, ...(beta !== undefined && { beta }) }),
      counts,
    );

  test("none, a list, and scikit-learn's balanced", () => {
    expect(of(undefined, [3, 1])).toBeUndefined();
    expect(of('none', [3, 1])).toBeUndefined();
    expect(of([0.2, 3], [3, 1])).toEqual([0.2, 3]);
    expect(of('inverse-frequency', [30, 10])).toEqual([40 / 60, 40 / 20]);
  });

  test('the effective number of samples in closed form, with mean 1', () => {
    // β ½: (1 − ½) / (1 − ½ⁿ) is 1 for n 1, 2/3 for n 2, and in the limit ½.
    const [one, two, many] = of('effective-number', [1, 2, 1000], 0.5)!;
    const mean = (1 + 2 / 3 + 0.5) / 3;
    expect([one, two, many]).toEqual([1 / mean, 2 / 3 / mean, 0.5 / mean]);
    expect(of('effective-number', [7, 100, 2])!.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(3, 12);
    expect(of('effective-number', [5, 9], 0)).toEqual([1, 1]);
  });

  test('a list of another length and a class without scans are refused', () => {
    expect(() => of([1, 2, 3], [4, 4])).toThrow('3 class weights for 2 classes');
    expect(() => of('inverse-frequency', [4, 0])).toThrow('class 1 has no training scans');
  });

  test('what a batch weighs', () => {
    expect(weightOf([0, 1, 1], undefined)).toBe(3);
    expect(weightOf([0, 1, 1], [0.5, 2])).toBe(4.5);
  });
});

// torch.nn.functional.binary_cross_entropy_with_logits in float64 (PyTorch 2.15).
const binary = {
  logits: [2, -1, 0, 30, -50, 0.3],
  truth: [1, 0, 1, 0, 1, 0.25],
  loss: 13.652115353931626,
  gradient: [-0.01986715367035295, 0.04482357022833252, -0.08333333333333333, 0.1666666666666511, -0.16666666666666666, 0.054073752801943174], // prettier-ignore
};

test.each(['tensorflow', 'cpu'] as const)(
  "binary cross entropy and its gradient are PyTorch's, on the engine %s",
  async (kind) => {
    const engine = await openEngine({ engine: kind });
    const truth = tf.tensor1d(binary.truth);
    const { value, grad } = tf.valueAndGrad((x) => binaryCrossEntropy(x, truth))(tf.tensor1d(binary.logits));
    expect(value.dataSync()[0]).toBeCloseTo(binary.loss, 5);
    Array.from(grad.dataSync()).forEach((entry, i) => expect(entry).toBeCloseTo(binary.gradient[i]!, 6));
    engine.close();
  },
);
