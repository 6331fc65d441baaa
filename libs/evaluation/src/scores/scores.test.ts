import { EvaluationInputError, type InputProblem, predictionsOf } from '../predictions.ts';
import { confusionMatrix } from './confusion.ts';
import { leaveOneOutScores, rankClass, rankingScores } from './ranking.ts';
import { scoresOf } from './scores.ts';
import { WeightedScores, scoreCount } from './weighted.ts';
import { randomStream } from '@ct-ensemble/core';

const oneHot = (answers: number[], classes: number) =>
  answers.map((k) => Array.from({ length: classes }, (_, j) => (j === k ? 1 : 0)));

test('scores of a small confusion matrix, by hand', () => {
  // Truth 0: 3 right, 1 called 1. Truth 1: 2 right, 2 called 0. Truth 2: never called, 1 called 0.
  const labels = [0, 0, 0, 0, 1, 1, 1, 1, 2];
  const p = predictionsOf({ classes: 4, labels, probabilities: oneHot([0, 0, 0, 1, 1, 1, 0, 0, 0], 4) });
  const s = scoresOf(p);
  expect(confusionMatrix(p)).toEqual([[3, 1, 0, 0], [2, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]); // prettier-ignore
  expect(s.f1).toEqual([6 / 10, 4 / 7, 0, 0]);
  expect(s.macroF1).toBeCloseTo((6 / 10 + 4 / 7) / 4, 14);
  expect(s.recall).toEqual([3 / 4, 2 / 4, 0, null]);
  expect(s.precision).toEqual([3 / 6, 2 / 3, null, null]);
  expect(s.specificity).toEqual([2 / 5, 4 / 5, 1, 1]);
  expect(s.balancedAccuracy).toBeCloseTo(1.25 / 3, 14);
  expect(s.accuracy).toBe(5 / 9);
  expect([s.absentInTruth, s.absentInBoth]).toEqual([[3], [3]]);
  expect(s.auroc[3]).toBeNull();
  expect(s.auprc[3]).toBeNull();
  expect(s.brier).toBeCloseTo((4 * 2) / 9, 14);
  expect(s.logLoss).toBeCloseTo((4 * 52 * Math.LN2) / 9, 12);
  expect(s.ece).toBeCloseTo(4 / 9, 14);
  expect(s.kappa).toBeCloseTo((5 / 9 - (4 * 6 + 4 * 3) / 81) / (1 - (4 * 6 + 4 * 3) / 81), 14);
});

test('AUROC and average precision of a ranking with a tie, by hand', () => {
  // P(class 1) descending: + 0.9, then + and − at 0.6, then − 0.3, + 0.1.
  const scores = [0.9, 0.6, 0.6, 0.3, 0.1];
  const labels = [1, 1, 0, 0, 1];
  const s = scoresOf(predictionsOf({ classes: 2, labels, probabilities: scores.map((x) => [1 - x, x]) }));
  expect(s.auroc[1]).toBeCloseTo((2 + 1.5 + 0) / 6, 14);
  expect(s.auprc[1]).toBeCloseTo(1 / 3 + (1 / 3) * (2 / 3) + (1 / 3) * (3 / 5), 14);
});

test('a weight of 2 is a scan that occurs twice, a weight of 0 one that is not there', () => {
  const labels = [0, 1, 2, 1, 0, 2, 2];
  const random = randomStream({ seed: 1, purpose: 'test' });
  const rows = labels.map(() => {
    const row = [random.integer(4) + 1, random.integer(4) + 1, random.integer(4) + 1];
    const sum = row.reduce((a, b) => a + b);
    return row.map((x) => x / sum);
  });
  const weights = [2, 0, 1, 3, 1, 1, 1];
  const repeated = weights.flatMap((w, i) => Array<number>(w).fill(i));
  const whole = predictionsOf({ classes: 3, labels, probabilities: rows });
  const copies = predictionsOf({
    classes: 3,
    labels: repeated.map((i) => labels[i]!),
    probabilities: repeated.map((i) => rows[i]!),
  });
  const [weighted, plain] = [new Float64Array(scoreCount(3)), new Float64Array(scoreCount(3))];
  new WeightedScores(whole).evaluate(Int32Array.from(weights), weighted);
  new WeightedScores(copies).evaluate(new Int32Array(repeated.length).fill(1), plain);
  weighted.forEach((value, i) => expect(value).toBeCloseTo(plain[i]!, 13));
});

test.each([
  ['ties', 30, 4],
  ['no ties', 30, 1e6],
  ['one scan of a class', 5, 3],
])('leaving out each scan in one pass is leaving it out for real: %s', (_, n, levels) => {
  const random = randomStream({ seed: n, purpose: 'leave one out', sample: levels });
  const labels = Array.from({ length: n }, (__, i) => (n === 5 ? (i === 2 ? 1 : 0) : random.integer(2)));
  const x = labels.map(() => random.integer(levels) / levels);
  const ranking = rankClass(
    predictionsOf({ classes: 2, labels, probabilities: x.map((v) => [1 - v, v]) }),
    1,
  );
  const fast = leaveOneOutScores(ranking);
  labels.forEach((__, left) => {
    const weights = Int32Array.from(labels, (___, i) => (i === left ? 0 : 1));
    const { auroc, auprc } = rankingScores(ranking, weights, { auroc: NaN, auprc: NaN });
    const close = (value: number) => (Number.isNaN(value) ? NaN : (expect.closeTo(value, 13) as number));
    expect([fast.auroc[left], fast.auprc[left]]).toEqual([close(auroc), close(auprc)]);
  });
});

test.each<[InputProblem, number[], number[][]]>([
  ['not-a-number', [0, 1], [[0.5, 0.5], [NaN, NaN]]],
  ['infinite', [0], [[Infinity, 0]]],
  ['negative', [0], [[1.1, -0.1]]],
  ['row-sum', [0], [[0.5, 0.4]]],
  ['no-scan', [], []],
  ['label-out-of-range', [2], [[0.5, 0.5]]],
  ['label-not-an-integer', [0.5], [[0.5, 0.5]]],
  ['lengths-differ', [0, 1], [[0.5, 0.5]]],
  ['row-length', [0], [[0.5, 0.3, 0.2]]],
])('refused: %s', (reason, labels, probabilities) => {
  const refused = () => predictionsOf({ classes: 2, labels, probabilities });
  expect(refused).toThrow(EvaluationInputError);
  expect(refused).toThrow(expect.objectContaining({ reason }) as Error);
}); // prettier-ignore
