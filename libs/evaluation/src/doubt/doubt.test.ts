import { randomStream } from '@ct-ensemble/core';
import { predictionsOf } from '../predictions.ts';
import { scoresOf } from '../scores/scores.ts';
import { answerOf, calibrateConformal, conformalSets } from './conformal.ts';
import { disagreement } from './disagreement.ts';
import { reliabilityBins } from './reliability.ts';
import { riskCoverage } from './risk-coverage.ts';

const row = (labels: number[], p: number[]) =>
  predictionsOf({ classes: 2, labels, probabilities: p.map((x) => [x, 1 - x]) });

test('two members that are certain and opposed: all doubt is disagreement', () => {
  const d = disagreement([row([0], [1]), row([0], [0])]);
  expect([d.predictiveEntropy[0], d.expectedEntropy[0], d.mutualInformation[0]]).toEqual([
    Math.LN2,
    0,
    Math.LN2,
  ]);
  expect([d.normalisedEntropy[0], d.votesAgainst[0], ...d.spread]).toEqual([1, 0.5, 0.5, 0.5]);
});

test('risk and coverage by hand, with a tie', () => {
  // Confidences 0.9 right, 0.8 right and wrong, 0.6 wrong.
  const { risk, aurc, excessAurc } = riskCoverage(row([0, 0, 1, 1], [0.9, 0.8, 0.8, 0.6]));
  expect([...risk]).toEqual([0, 0.25, 1 / 3, 0.5].map((x) => expect.closeTo(x, 14)));
  expect(aurc).toBeCloseTo((0.25 + 1 / 3 + 0.5) / 4, 14);
  expect(excessAurc).toBeCloseTo(aurc - (1 / 3 + 0.5) / 4, 14);
});

test('the bins of the reliability diagram give the calibration error', () => {
  const p = row([0, 0, 1, 1, 0], [0.9, 0.7, 0.7, 0.2, 0.55]);
  const bins = reliabilityBins(p).filter((bin) => bin.scans > 0);
  expect(bins.map((bin) => [bin.index, bin.scans])).toEqual([[8, 1], [10, 2], [11, 1], [13, 1]]); // prettier-ignore
  const sum = bins.reduce((total, bin) => total + bin.scans * Math.abs(bin.accuracy! - bin.confidence!), 0);
  expect(scoresOf(p).ece).toBeCloseTo(sum / 5, 14);
});

test('conformal sets by hand', () => {
  // LAC scores of the true classes: 0.1, 0.2, …, 0.9; with n = 9 and alpha 0.2 the 8th smallest is the threshold.
  const p = row(Array<number>(9).fill(0), [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]);
  const rule = calibrateConformal(p, { alpha: 0.2 });
  expect(rule.thresholds[0]).toBeCloseTo(0.8, 14);
  const sets = conformalSets(rule, Float64Array.of(0.85, 0.15, 0.5, 0.5));
  expect(sets).toEqual([[0], [0, 1]]);
  expect(sets.map(answerOf)).toEqual([0, null]);
  expect(rule.guarantee).toBe('If new scans are drawn like the 9 calibration scans, independently of each other, the sets hold the true class of at least 80 % of them on average over calibration sets.'); // prettier-ignore
  const few = calibrateConformal(p, { alpha: 0.05, method: 'aps' });
  expect([few.thresholds, few.coverageRange]).toEqual([[null, null], null]);
  expect(conformalSets(few, Float64Array.of(1, 0))).toEqual([[0, 1]]);
  expect(() => calibrateConformal(p, { alpha: 90 })).toThrow('alpha 90 is not between 0 and 1');
});

test.each(['lac', 'aps'] as const)('%s keeps its guarantee on average over calibration sets', (method) => {
  const random = randomStream({ seed: 2, purpose: 'conformal', sample: method });
  const draw = (n: number) => {
    const labels = Array.from({ length: n }, () => random.integer(4));
    const probabilities = labels.map((y) => {
      const row = [0, 1, 2, 3].map((k) => Math.exp(random.normal() + (k === y ? 1 : 0)));
      const sum = row.reduce((a, b) => a + b);
      return row.map((x) => x / sum);
    });
    return predictionsOf({ classes: 4, labels, probabilities });
  };
  let held = 0;
  for (let repeat = 0; repeat < 200; repeat++) {
    const rule = calibrateConformal(draw(61), { alpha: 0.1, method });
    const unseen = draw(50);
    conformalSets(rule, unseen.probabilities).forEach(
      (set, i) => (held += set.includes(unseen.labels[i]!) ? 1 : 0),
    );
  }
  // Exactly 56/62 = 0.903 is expected for lac; the standard error over 200 calibration sets is about 0.003.
  expect(held / 10_000).toBeGreaterThan(0.9 - 0.006);
  expect(held / 10_000).toBeLessThan(method === 'lac' ? 0.915 : 0.95);
});
