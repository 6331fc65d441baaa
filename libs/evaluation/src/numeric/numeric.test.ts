import { readFileSync } from 'node:fs';
import { betaQuantile, fairCdf, fairPmf } from './binomial.ts';
import { normalCdf, normalQuantile } from './normal.ts';
import { quantileOfSorted } from './quantile.ts';

interface Recorded {
  normalCdf: [number, number][];
  normalQuantile: [number, number][];
  fairCdf: [number, number, number][];
  betaQuantile: [number, number, number, number][];
}
const scipy = JSON.parse(
  readFileSync(new URL('../fixtures/special-functions.json', import.meta.url), 'utf8'),
) as Recorded;

/** Relative error; absolute below 1e-300. */
const error = (actual: number, expected: number) =>
  Math.abs(actual - expected) / Math.max(Math.abs(expected), 1e-300);

test('the normal distribution agrees with scipy', () => {
  for (const [z, p] of scipy.normalCdf) expect(error(normalCdf(z), p)).toBeLessThan(1e-12);
  for (const [p, z] of scipy.normalQuantile)
    expect(Math.abs(normalQuantile(p) - z)).toBeLessThan(1e-14 * Math.max(1, z * z));
  expect([normalQuantile(0), normalQuantile(1)]).toEqual([-Infinity, Infinity]);
});

test('the binomial distribution and its inverse, the beta quantile, agree with scipy', () => {
  for (const [k, n, p] of scipy.fairCdf) expect(error(fairCdf(k, n), p)).toBeLessThan(1e-10);
  for (const [p, a, b, x] of scipy.betaQuantile)
    expect(Math.abs(betaQuantile(p, a, b) - x)).toBeLessThan(1e-12);
  expect(fairPmf(2, 4)).toBeCloseTo(6 / 16, 14);
});

test('quantiles are interpolated linearly', () => {
  const sorted = Float64Array.of(0, 10, 20, 50);
  expect([0, 0.5, 0.9, 1].map((q) => quantileOfSorted(sorted, q))).toEqual([
    0,
    15,
    expect.closeTo(41, 12),
    50,
  ]);
});
