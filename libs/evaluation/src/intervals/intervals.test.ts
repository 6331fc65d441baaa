import { normalQuantile } from '../numeric/normal.ts';
import { predictionsOf } from '../predictions.ts';
import { intervalOf } from './bca.ts';
import { drawResamples, resamplesFrom } from './resamples.ts';
import { scoreIntervals } from './score-intervals.ts';

const answers = (labels: number[], right: (i: number) => boolean, patients?: number[]) =>
  predictionsOf({
    classes: 2,
    labels,
    patients,
    probabilities: labels.map((label, i) => (label === (right(i) ? 0 : 1) ? [0.8, 0.2] : [0.2, 0.8])),
  });

test('without bias and skewness, BCa is the percentile interval', () => {
  const resampled = Float64Array.from({ length: 1001 }, (_, i) => normalQuantile((i + 0.5) / 1001));
  const { bca, percentile, z0, acceleration } = intervalOf({
    estimate: 0,
    resampled,
    jackknife: Float64Array.of(-1, 1, -2, 2),
  });
  expect([z0, acceleration]).toEqual([expect.closeTo(0, 12), 0]);
  expect(bca![0]).toBeCloseTo(percentile![0], 10);
  expect(percentile![1]).toBeCloseTo(normalQuantile(0.975), 1.5);
});

test('the interval of an accuracy is about that of the normal approximation', () => {
  const n = 400;
  const p = answers(Array.from({ length: n }, (_, i) => i % 2), (i) => i % 10 < 8); // prettier-ignore
  const { accuracy } = scoreIntervals(p, { seed: 3 }).scores;
  const half = 1.96 * Math.sqrt((0.8 * 0.2) / n);
  expect(accuracy.estimate).toBeCloseTo(0.8, 14);
  expect(accuracy.interval![0]).toBeCloseTo(0.8 - half, 1.9);
  expect(accuracy.interval![1]).toBeCloseTo(0.8 + half, 1.9);
  expect(accuracy.standardError).toBeCloseTo(Math.sqrt((0.8 * 0.2) / n), 2.6);
});

test('scans of one patient come together: four copies of every scan do not narrow the interval', () => {
  const labels = Array.from({ length: 60 }, (_, i) => i % 2);
  const four = Array.from({ length: 240 }, (_, i) => i >> 2);
  const right = (i: number) => i % 5 !== 0;
  const single = answers(labels, right);
  const copies = answers(four.map((i) => labels[i]!), (i) => right(four[i]!), four); // prettier-ignore
  const [a, b] = [single, copies].map((p) => scoreIntervals(p, { seed: 1, resamples: 200 }).scores.macroF1);
  expect(b!.interval![0]).toBeCloseTo(a!.interval![0], 12);
  expect(b!.interval![1]).toBeCloseTo(a!.interval![1], 12);
});

test('a class with fewer than ten scans makes the intervals rough', () => {
  const p = answers([...Array<number>(30).fill(0), ...Array<number>(9).fill(1)], (i) => i % 3 !== 0);
  expect(scoreIntervals(p, { resamples: 20 })).toMatchObject({
    rough: true,
    roughClasses: [1],
    resamples: 20,
  });
});

test('one patient: no interval; a perfect row: percentile instead of BCa', () => {
  const one = scoreIntervals(
    answers([0, 1, 0], () => true, [7, 7, 7]),
    { resamples: 10 },
  ).scores.macroF1;
  expect([one.estimate, one.interval, one.method]).toEqual([1, null, null]);
  const perfect = scoreIntervals(
    answers([0, 1, 0, 1], () => true),
    { resamples: 10 },
  ).scores.macroF1;
  expect([perfect.interval, perfect.method, perfect.bca]).toEqual([[1, 1], 'percentile', null]);
});

test('resamples depend on seed and number only, draw every patient equally often, and the first stay when more are drawn', () => {
  const some = drawResamples({ patients: 50, count: 400, seed: 9 });
  const more = drawResamples({ patients: 50, count: 500, seed: 9 });
  expect([...more.weights.subarray(0, some.weights.length)]).toEqual([...some.weights]);
  expect([...drawResamples({ patients: 50, count: 400, seed: 10 }).weights]).not.toEqual([...some.weights]);
  const drawn = new Float64Array(50);
  some.weights.forEach((w, i) => (drawn[i % 50]! += w));
  expect(drawn.reduce((a, b) => a + b)).toBe(400 * 50);
  for (const times of drawn) expect(Math.abs(times - 400)).toBeLessThan(5 * Math.sqrt(400));
});

test('resamples of other patients are refused', () => {
  const p = answers([0, 1, 0], () => true);
  expect(() => scoreIntervals(p, { resamples: resamplesFrom([[0, 1]], 2) })).toThrow(
    'the resamples are of 2 patients',
  );
  expect(() => resamplesFrom([[0, 3]], 3)).toThrow('resample 0: there is no patient 3 among 3');
  expect(() => scoreIntervals(p, { resamples: 0 })).toThrow('0 resamples cannot be drawn');
  expect(() => scoreIntervals(p, { level: 95 })).toThrow('the level 95 is not between 0 and 1');
});
