import { answerScores } from './answers.ts';
import { predictionsOf } from '../predictions.ts';
import { argmax } from './confusion.ts';
import { scoresOf } from './scores.ts';

test("scikit-learn's documented confusion matrix: rows are truth", () => {
  // From the documentation of sklearn.metrics.confusion_matrix.
  expect(answerScores([2, 0, 2, 2, 0, 1], [0, 0, 2, 2, 0, 2], 3).matrix).toEqual([
    [2, 0, 0],
    [0, 0, 1],
    [1, 0, 2],
  ]);
});

test("scikit-learn's documented F1 values", () => {
  // From the documentation of sklearn.metrics.f1_score: average=None → 0.8, 0, 0; average='macro' → 0.26….
  const scores = answerScores([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], 3);
  expect(scores.f1).toEqual([0.8, 0, 0]);
  expect(scores.macroF1).toBeCloseTo(0.8 / 3, 12);
  expect(scores.accuracy).toBeCloseTo(1 / 3, 12);
  // From sklearn.metrics.classification_report: F1 0.67, 0.00, 0.80; macro 0.49; accuracy 0.60.
  const report = answerScores([0, 1, 2, 2, 2], [0, 0, 2, 2, 1], 3);
  expect(report.f1.map((f1) => f1.toFixed(2))).toEqual(['0.67', '0.00', '0.80']);
  expect(report.macroF1.toFixed(2)).toBe('0.49');
  expect(report.accuracy).toBe(0.6);
});

test('F1 from a matrix worked by hand', () => {
  // Class 0: TP 40, FP 10, FN 20 → 80/110. Class 1: TP 30, FP 20, FN 10 → 60/90.
  const cells = [
    [0, 0, 40],
    [0, 1, 20],
    [1, 0, 10],
    [1, 1, 30],
  ].flatMap(([truth, predicted, count]) =>
    Array.from({ length: count! }, () => [truth!, predicted!] as const),
  );
  const { f1 } = answerScores(
    cells.map(([truth]) => truth),
    cells.map(([, predicted]) => predicted),
    2,
  );
  expect(f1[0]).toBeCloseTo(8 / 11, 12);
  expect(f1[1]).toBeCloseTo(2 / 3, 12);
});

test('a class absent from truth and prediction scores 0 and counts in the mean', () => {
  const scores = answerScores([0, 1], [0, 1], 4);
  expect(scores.f1).toEqual([1, 1, 0, 0]);
  expect(scores.macroF1).toBe(0.5);
});

test('lists of different length, unknown labels and no scan at all are refused', () => {
  expect(() => answerScores([0, 1], [0], 2)).toThrow(/2 true labels, but 1/);
  expect(() => answerScores([0], [2], 2)).toThrow(/scan 0: label 0, predicted 2/);
  expect(() => answerScores([0, -1], [0, 0], 2)).toThrow(/scan 1/);
  expect(() => answerScores([0.5], [0], 2)).toThrow(/scan 0/);
  expect(() => answerScores([], [], 2)).toThrow(/there is no scan/);
});

test('argmax takes the first of equals', () => {
  expect(argmax([0.5, 0.5])).toBe(0);
  expect(argmax([0.1, 0.45, 0.45])).toBe(1);
  expect(argmax(Float32Array.of(0.2, 0.3, 0.5))).toBe(2);
});

test('the figures are those of probabilities with these most probable classes', () => {
  const [truth, predicted] = [
    [0, 1, 2, 2, 1, 0, 0],
    [0, 2, 2, 1, 1, 0, 1],
  ];
  const probabilities = predicted!.map((k) => [0, 1, 2].map((j) => (j === k ? 0.8 : 0.1)));
  const { macroF1, f1, accuracy, confusion } = scoresOf(
    predictionsOf({ classes: 3, labels: truth!, probabilities }),
  );
  expect(answerScores(truth!, predicted!, 3)).toEqual({ macroF1, f1, accuracy, matrix: confusion });
});
