// The predicted class of each scan, and the confusion matrix with the scores that follow from it. Every function takes the matrix as
// flat counts [classes × classes], rows: truth, columns: prediction (the orientation of scikit-learn); counts may be weighted.
import type { Predictions } from '../predictions.ts';

/** Index of the greatest value; the first of equals. */
export function argmax(row: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
  return best;
}

/** The predicted class of each scan, [scans]: the most probable one, the first of equals. */
export function predictedClasses(probabilities: Float64Array, classes: number): Int32Array {
  return Int32Array.from({ length: probabilities.length / classes }, (_, i) => {
    let best = i * classes;
    for (let j = best + 1; j < (i + 1) * classes; j++) if (probabilities[j]! > probabilities[best]!) best = j;
    return best - i * classes;
  });
}

/** Counts of scans, flat [classes × classes]. */
export function confusionCounts(p: Predictions): Float64Array {
  const counts = new Float64Array(p.classes ** 2);
  const predicted = predictedClasses(p.probabilities, p.classes);
  for (let i = 0; i < p.scans; i++) counts[p.labels[i]! * p.classes + predicted[i]!]! += 1;
  return counts;
}

/** The confusion matrix as rows, [classes][classes]. */
export function confusionMatrix(p: Predictions): number[][] {
  const counts = confusionCounts(p);
  return Array.from({ length: p.classes }, (_, k) => [
    ...counts.subarray(k * p.classes, (k + 1) * p.classes),
  ]);
}

/** Row sums, column sums, diagonal and total of a confusion matrix. */
export interface Margins {
  truth: Float64Array;
  predicted: Float64Array;
  right: Float64Array;
  total: number;
}

/** The margins of a confusion matrix; written into `into` if it is given. */
export function marginsOf(counts: Float64Array, classes: number, into = emptyMargins(classes)): Margins {
  const { truth, predicted, right } = into;
  into.total = 0;
  predicted.fill(0);
  for (let k = 0; k < classes; k++) {
    let row = 0;
    for (let j = 0; j < classes; j++) {
      const count = counts[k * classes + j]!;
      row += count;
      predicted[j]! += count;
    }
    truth[k] = row;
    right[k] = counts[k * classes + k]!;
    into.total += row;
  }
  return into;
}

export const emptyMargins = (classes: number): Margins => ({
  truth: new Float64Array(classes),
  predicted: new Float64Array(classes),
  right: new Float64Array(classes),
  total: 0,
});

/** F1 of class k = 2·TP / (2·TP + FP + FN); 0 for a class that is absent in truth and prediction (0/0). */
export function f1Of({ truth, predicted, right }: Margins, k: number): number {
  const both = truth[k]! + predicted[k]!;
  return both === 0 ? 0 : (2 * right[k]!) / both;
}

/** Recall (sensitivity) of class k = TP / (TP + FN); NaN if the class is absent in the truth. */
export const recallOf = (m: Margins, k: number): number => m.right[k]! / m.truth[k]!;

/** Precision of class k = TP / (TP + FP); NaN if the class is never predicted. */
export const precisionOf = (m: Margins, k: number): number => m.right[k]! / m.predicted[k]!;

/** Specificity of class k = TN / (TN + FP); NaN if every scan is of the class. */
export const specificityOf = (m: Margins, k: number): number =>
  (m.total - m.truth[k]! - m.predicted[k]! + m.right[k]!) / (m.total - m.truth[k]!);

/** Share of scans whose predicted class is the true one. */
export const accuracyOf = (m: Margins): number => m.right.reduce((sum, count) => sum + count, 0) / m.total;

/** Mean recall over the classes that occur in the truth. */
export function balancedAccuracyOf(m: Margins): number {
  let sum = 0;
  let count = 0;
  for (let k = 0; k < m.truth.length; k++) {
    if (m.truth[k] === 0) continue;
    sum += recallOf(m, k);
    count += 1;
  }
  return sum / count;
}

/** Unweighted mean of F1 over all classes; an absent class counts 0 (scikit-learn's `zero_division=0`). */
export function macroF1Of(m: Margins): number {
  let sum = 0;
  for (let k = 0; k < m.truth.length; k++) sum += f1Of(m, k);
  return sum / m.truth.length;
}
