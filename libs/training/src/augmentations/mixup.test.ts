// mixup: its formula on images and labels, the distribution of λ, and what the draws depend on.
import { type Engine, openEngine } from '@ct-ensemble/engine';
import tf from '@tensorflow/tfjs';
import { drawMix, mixedImages, mixedTruth, mixTensors } from './mixup.ts';

const key = { seed: 1, epoch: 2, step: 3, size: 4 };
const draws = (alpha: number) =>
  Array.from({ length: 4000 }, (_, step) => drawMix({ alpha }, { ...key, step }).lambda);

test.each(['tensorflow', 'cpu'] as const)(
  'images and labels become λ · own + (1 − λ) · partner, on the engine %s',
  async (kind) => {
    const engine: Engine = await openEngine({ engine: kind });
    const mix = { lambda: 0.75, partners: [2, 0, 1] };
    const x = tf.tensor4d([0, 1, 2, 4, 8, 16], [3, 1, 1, 2]);
    const mixed = mixedImages(x, mixTensors(mix));
    expect(mixed.shape).toEqual([3, 1, 1, 2]);
    // 0.75 · [0, 1] + 0.25 · [8, 16]; 0.75 · [2, 4] + 0.25 · [0, 1]; 0.75 · [8, 16] + 0.25 · [2, 4]
    expect(Array.from(mixed.dataSync())).toEqual([2, 4.75, 1.5, 3.25, 6.5, 13]);
    expect(mixedTruth([[1, 0], [0, 1], [0, 1]], mix)).toEqual([[0.75, 0.25], [0.25, 0.75], [0, 1]]); // prettier-ignore
    engine.close();
  },
);

test('draws depend on seed, epoch and step; partners are a permutation', () => {
  const mix = drawMix({ alpha: 0.4 }, key);
  expect(drawMix({ alpha: 0.4 }, key)).toEqual(mix);
  for (const other of [{ seed: 2 }, { epoch: 3 }, { step: 4 }])
    expect(drawMix({ alpha: 0.4 }, { ...key, ...other }).lambda).not.toBe(mix.lambda);
  const { partners } = drawMix({ alpha: 0.4 }, { ...key, size: 50 });
  expect([...partners].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
  expect(partners.filter((partner, i) => partner === i).length).toBeLessThan(6);
});

// Beta(α, α) has the variance 1 / (4 (2α + 1)); Beta(1, 1) is uniform and Beta(½, ½) has the arcsine distribution.
test.each([0.2, 0.5, 1, 4])('λ has mean and variance of Beta(α, α), α %d', (alpha) => {
  const lambdas = draws(alpha);
  const mean = lambdas.reduce((sum, value) => sum + value, 0) / lambdas.length;
  const variance = lambdas.reduce((sum, value) => sum + (value - mean) ** 2, 0) / lambdas.length;
  expect(mean).toBeCloseTo(0.5, 1);
  expect(Math.abs(variance * 4 * (2 * alpha + 1) - 1)).toBeLessThan(0.06);
});

test.each([
  [1, (x: number) => x],
  [0.5, (x: number) => (2 / Math.PI) * Math.asin(Math.sqrt(x))],
])('λ has the distribution function of Beta(α, α), α %d', (alpha, share) => {
  const lambdas = draws(alpha);
  for (const x of [0.05, 0.2, 0.5, 0.8, 0.95]) {
    const below = lambdas.filter((value) => value <= x).length / lambdas.length;
    // Four standard deviations of a binomial distribution.
    expect(Math.abs(below - share(x))).toBeLessThan(4 * Math.sqrt(0.25 / lambdas.length));
  }
});

test('a small α gives shares next to 0 and 1, all of them numbers', () => {
  const lambdas = draws(0.01);
  expect(lambdas.every((value) => value >= 0 && value <= 1)).toBe(true);
  expect(lambdas.filter((value) => value > 0.001 && value < 0.999).length / 4000).toBeLessThan(0.15);
});
