import { argmax, confusionMatrix, f1PerClass, macroF1, scoresOf } from './metrics.ts';

// Table 6 of Bougourzi et al. (ECCV 2022 workshops): F1 of Mild, Moderate, Severe, Critical → macro F1, in percent.
test.each([
  [[61.1, 39.47, 37.07, 23.54], 40.3],
  [[34.86, 35.44, 58.0, 31.25], 39.89],
  [[53.09, 18.52, 63.52, 37.04], 43.04],
  [[54.66, 26.79, 63.48, 37.04], 45.49],
  [[53.42, 26.67, 60.36, 37.04], 44.37],
  [[55.67, 37.88, 55.46, 39.46], 47.11],
])('macro F1 of Table 6: %j → %d', (f1s, published) => {
  // Both sides of the printed table are rounded to 0.01.
  expect(Math.abs(macroF1(f1s) - published)).toBeLessThanOrEqual(0.01);
});

test("scikit-learn's documented confusion matrix: rows are truth", () => {
  // From the documentation of sklearn.metrics.confusion_matrix.
  expect(confusionMatrix([2, 0, 2, 2, 0, 1], [0, 0, 2, 2, 0, 2], 3)).toEqual([
    [2, 0, 0],
    [0, 0, 1],
    [1, 0, 2],
  ]);
});

test("scikit-learn's documented F1 values", () => {
  // From the documentation of sklearn.metrics.f1_score: average=None → 0.8, 0, 0; average='macro' → 0.26….
  const scores = scoresOf([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], 3);
  expect(scores.f1).toEqual([0.8, 0, 0]);
  expect(scores.macroF1).toBeCloseTo(0.8 / 3, 12);
  expect(scores.accuracy).toBeCloseTo(1 / 3, 12);
  // From sklearn.metrics.classification_report: F1 0.67, 0.00, 0.80; macro 0.49; accuracy 0.60.
  const report = scoresOf([0, 1, 2, 2, 2], [0, 0, 2, 2, 1], 3);
  expect(report.f1.map((f1) => f1.toFixed(2))).toEqual(['0.67', '0.00', '0.80']);
  expect(report.macroF1.toFixed(2)).toBe('0.49');
  expect(report.accuracy).toBe(0.6);
});

test('F1 from a matrix worked by hand', () => {
  // Class 0: TP 40, FP 10, FN 20 → 80/110. Class 1: TP 30, FP 20, FN 10 → 60/90.
  const f1 = f1PerClass([
    [40, 20],
    [10, 30],
  ]);
  expect(f1[0]).toBeCloseTo(8 / 11, 12);
  expect(f1[1]).toBeCloseTo(2 / 3, 12);
});

test('a class absent from truth and prediction scores 0 and counts in the mean', () => {
  const scores = scoresOf([0, 1], [0, 1], 4);
  expect(scores.f1).toEqual([1, 1, 0, 0]);
  expect(scores.macroF1).toBe(0.5);
});

test('lists of different length, unknown labels and no scan at all are refused', () => {
  expect(() => confusionMatrix([0, 1], [0], 2)).toThrow(/2 true labels, but 1/);
  expect(() => confusionMatrix([0], [2], 2)).toThrow(/Sample 0: label 0, predicted 2/);
  expect(() => confusionMatrix([0, -1], [0, 0], 2)).toThrow(/Sample 1/);
  expect(() => confusionMatrix([0.5], [0], 2)).toThrow(/Sample 0/);
  expect(() => scoresOf([], [], 2)).toThrow(/No scan/);
});

test('argmax takes the first of equals', () => {
  expect(argmax([0.5, 0.5])).toBe(0);
  expect(argmax([0.1, 0.45, 0.45])).toBe(1);
  expect(argmax(Float32Array.of(0.2, 0.3, 0.5))).toBe(2);
});
