import { predictionsOf } from '../predictions.ts';
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
