import { randomStream } from '@ct-ensemble/core';
import { predictionsOf } from '../predictions.ts';
import { thresholdCurve } from './curves.ts';
import { scoresOf } from './scores.ts';

test('by hand: three distinct thresholds, one of them shared by two scans', () => {
  const p = predictionsOf({
    classes: 2,
    labels: [1, 0, 1, 0],
    probabilities: [0.9, 0.6, 0.6, 0.2].map((value) => [1 - value, value]),
  });
  const round = (value: number) => Number(value.toFixed(12));
  expect(
    thresholdCurve(p, 1)!.map(({ threshold, truePositiveRate, falsePositiveRate, precision }) =>
      [threshold, truePositiveRate, falsePositiveRate, precision].map(round),
    ),
  ).toEqual([
    [0.9, 0.5, 0, 1],
    [0.6, 1, 0.5, round(2 / 3)],
    [0.2, 1, 1, 0.5],
  ]);
});

test('the areas under both curves are AUROC and AUPRC', () => {
  const random = randomStream({ seed: 5, purpose: 'curves' });
  const labels = Array.from({ length: 200 }, () => random.integer(3));
  const probabilities = labels.map((label) => {
    // Few distinct values, so that there are ties.
    const raw = [0, 1, 2].map((k) => 1 + random.integer(4) + (k === label ? 2 : 0));
    const sum = raw.reduce((a, b) => a + b);
    return raw.map((value) => value / sum);
  });
  const p = predictionsOf({ classes: 3, labels, probabilities });
  const { auroc, auprc } = scoresOf(p);
  for (const k of [0, 1, 2]) {
    let area = 0;
    let precision = 0;
    let [x, y] = [0, 0];
    for (const point of thresholdCurve(p, k)!) {
      area += ((point.falsePositiveRate - x) * (point.truePositiveRate + y)) / 2;
      precision += (point.truePositiveRate - y) * point.precision;
      [x, y] = [point.falsePositiveRate, point.truePositiveRate];
    }
    expect([x, y]).toEqual([1, 1]);
    expect(area).toBeCloseTo(auroc[k]!, 12);
    expect(precision).toBeCloseTo(auprc[k]!, 12);
  }
});

test('a class without scans has no curve', () => {
  const p = predictionsOf({ classes: 2, labels: [0, 0], probabilities: [[0.5, 0.5], [1, 0]] }); // prettier-ignore
  expect(thresholdCurve(p, 1)).toBeNull();
});
