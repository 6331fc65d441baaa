import { randomStream } from '@ct-ensemble/core';
import { predictionsOf } from '../predictions.ts';
import { scoresOf } from '../scores/scores.ts';
import { compareRows } from './compare.ts';
import { delong } from './delong.ts';
import { holm } from './holm.ts';
import { mcnemarOf } from './mcnemar.ts';
import { describeComparisons } from './wording.ts';
import { swapTest } from './swap-test.ts';

const labels = Array.from({ length: 200 }, (_, i) => i % 2);
const row = (right: (i: number) => boolean, of = labels) =>
  predictionsOf({
    classes: 2,
    labels: of,
    probabilities: of.map((label, i) => (label === (right(i) ? 0 : 1) ? [0.9, 0.1] : [0.1, 0.9])),
  });

test("Holm's own example and order", () => {
  expect(holm([0.01, 0.04, 0.03, 0.005])).toEqual([0.03, 0.06, 0.06, 0.02].map((p) => expect.closeTo(p, 14)));
  expect(holm([0.9, 0.8])).toEqual([1, 1]);
});

test('McNemar by hand: 1 against 5', () => {
  const { exactP, midP, p, method } = mcnemarOf(1, 5);
  expect(exactP).toBeCloseTo((2 * 7) / 64, 14);
  expect(midP).toBeCloseTo((2 * 4) / 64, 14);
  expect([p, method]).toEqual([exactP, 'exact']);
  expect(mcnemarOf(10, 30)).toMatchObject({
    method: 'chi-square',
    p: expect.closeTo(0.0026635, 6) as number,
  }); // χ² = 19²/40
});

test('the swap test of few patients is the exact one: all permutations', () => {
  const a = row(() => true, [0, 1, 0, 1]);
  const b = row((i) => i === 0, [0, 1, 0, 1]);
  const swaps = Array.from({ length: 16 }, (_, bits) => [0, 1, 2, 3].map((i) => (bits >> i) & 1));
  const { difference, p } = swapTest(a, b, { swaps, score: 'accuracy' });
  expect(difference).toBe(0.75);
  expect(p).toBe((1 + 4) / 17); // only those that swap all or none of the three scans that differ, scan 0 either way
});

test('DeLong of a row with itself finds nothing; without a class there is nothing to compare', () => {
  const positive = [true, false, true, false, true];
  const x = [0.9, 0.2, 0.4, 0.5, 0.8];
  expect(delong(positive, x, x)).toMatchObject({ aurocA: 5 / 6, p: 1 });
  expect(delong([true, true], [0.1, 0.2], [0.3, 0.4])).toBeNull();
});

test('three rows: what can be distinguished from chance is said, and the rest too', () => {
  const rows = [
    { name: 'good', predictions: row((i) => i % 10 !== 0) },
    { name: 'as good', predictions: row((i) => i % 10 !== 1) },
    { name: 'bad', predictions: row((i) => i % 10 < 6) },
  ];
  const comparisons = compareRows(rows, { seed: 4, resamples: 500 });
  expect(comparisons.map((c) => [c.a, c.b, c.distinguishable])).toEqual([
    ['good', 'as good', false],
    ['good', 'bad', true],
    ['as good', 'bad', true],
  ]);
  for (const c of comparisons) expect(c.adjustedP!).toBeGreaterThanOrEqual(c.swapP!);
  const words = describeComparisons(comparisons);
  expect(words[0]).toBe('2 of 3 differences can be distinguished from chance.');
  expect(words[1]).toMatch(/^good has a higher macro F1 than bad: difference \+0\.(?:29|30)\d \(95 % interval \+0\.\d{3} to \+0\.\d{3}, p = 0\.006 after Holm's correction for 3 pairs\)\. On these 200 patients the difference can be distinguished from chance: good is better\.$/); // prettier-ignore
  expect(words[3]).toMatch(/^good and as good have the same macro F1 .* cannot be distinguished from chance\. A difference of about 0\.0\d\d or more would be needed\.$/); // prettier-ignore
});

test('a lower log loss is better', () => {
  const rows = [
    { name: 'bad', predictions: row((i) => i % 10 < 6) },
    { name: 'good', predictions: row((i) => i % 10 !== 0) },
  ];
  const [c] = compareRows(rows, { score: 'logLoss', resamples: 200 });
  expect(c!.correction).toBe('none');
  expect(c!.words).toContain('bad has a higher log loss than good');
  expect(c!.words).toContain('good is better');
});

test('rows of other scans are refused', () => {
  const rows = [
    { name: 'a', predictions: row(() => true) },
    { name: 'b', predictions: row(() => true, [0, 1]) },
  ];
  expect(() => compareRows(rows)).toThrow('differ in their scans, labels or patients');
});

test('against one row: each other row with it, and the correction for these pairs only', () => {
  const rows = [0, 1, 2, 3].map((n) => ({
    name: `r${n}`,
    predictions: row((i) => i % 10 !== n && i % 7 !== n),
  }));
  const comparisons = compareRows(rows, { seed: 4, resamples: 200, against: 1 });
  expect(comparisons.map((c) => [c.a, c.b, c.pairs])).toEqual([
    ['r0', 'r1', 3],
    ['r2', 'r1', 3],
    ['r3', 'r1', 3],
  ]);
  expect(comparisons.map((c) => c.adjustedP)).toEqual(holm(comparisons.map((c) => c.swapP!)));
  const all = compareRows(rows, { seed: 4, resamples: 200 });
  const pair = all.find((c) => c.a === 'r1' && c.b === 'r3')!;
  expect(comparisons[2]!.swapP).toBe(pair.swapP);
  expect(comparisons[2]!.differences.macroF1.estimate).toBeCloseTo(-pair.differences.macroF1.estimate!, 14);
  expect(() => compareRows(rows, { against: 4 })).toThrow('there is no row 4');
});

test.each(['macroF1', 'quadraticKappa', 'logLoss'] as const)(
  'permutations of %s: the scores of rows whose answers are really exchanged, patient by patient',
  (score) => {
    const random = randomStream({ seed: 3, purpose: 'swap test' });
    const of = Array.from({ length: 60 }, () => random.integer(3));
    const patients = of.map((_, i) => i >> 1);
    const drawn = () =>
      of.map((label) => {
        const raw = [0, 1, 2].map((k) => random.uniform() + (k === label ? 0.4 : 0));
        const sum = raw.reduce((x, y) => x + y);
        return raw.map((value) => value / sum);
      });
    const [a, b] = [drawn(), drawn()];
    const predictions = (probabilities: number[][]) =>
      predictionsOf({ classes: 3, labels: of, patients, probabilities });
    const swaps = Array.from({ length: 20 }, () => Array.from({ length: 30 }, () => random.integer(2)));
    const { permuted } = swapTest(predictions(a), predictions(b), { score, swaps });
    swaps.forEach((row, s) => {
      const exchanged = [a, b].map((own, side) =>
        predictions(own.map((p, i) => (row[patients[i]!] === 1 ? [b, a][side]![i]! : p))),
      );
      const [first, second] = exchanged.map((p) => scoresOf(p)[score]!);
      expect(permuted[s]).toBeCloseTo(first! - second!, 12);
    });
  },
);
