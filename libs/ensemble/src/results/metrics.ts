// The scores of the competition: confusion matrix, F1 per class, macro F1. Labels are class indices, 0 … classes−1.

export interface Scores {
  macroF1: number;
  /** F1 per class, in the order of the classes. */
  f1: number[];
  /** Share of scans whose predicted class is the true one. */
  accuracy: number;
  /** Rows: truth, columns: prediction. */
  matrix: number[][];
}

/**
 * Counts of scans, [classes][classes]. Rows: truth, columns: prediction (the orientation of scikit-learn).
 * @throws RangeError when the lists differ in length or a label is no integer in 0 … classes−1.
 */
export function confusionMatrix(
  truth: readonly number[],
  predicted: readonly number[],
  classes: number,
): number[][] {
  if (truth.length !== predicted.length) {
    throw new RangeError(`${truth.length} true labels, but ${predicted.length} predicted ones`);
  }
  const matrix = Array.from({ length: classes }, () => new Array<number>(classes).fill(0));
  truth.forEach((label, i) => {
    const row = matrix[label];
    const answer = predicted[i]!;
    if (row?.[answer] === undefined) {
      throw new RangeError(
        `Sample ${i}: label ${label}, predicted ${answer}: not both in 0 … ${classes - 1}`,
      );
    }
    row[answer]! += 1;
  });
  return matrix;
}

/**
 * F1 = 2·TP / (2·TP + FP + FN) per class, 0 … 1. A class that has no scan in truth and none in prediction scores 0 and
 * still counts in the macro mean, like scikit-learn's `f1_score(labels=all classes, zero_division=0)`.
 */
export function f1PerClass(matrix: readonly (readonly number[])[]): number[] {
  return matrix.map((row, label) => {
    const inTruth = row.reduce((sum, count) => sum + count, 0);
    const inPrediction = matrix.reduce((sum, other) => sum + other[label]!, 0);
    return inTruth + inPrediction === 0 ? 0 : (2 * row[label]!) / (inTruth + inPrediction);
  });
}

/** The competition's metric: the unweighted mean of the per-class F1. */
export function macroF1(f1s: readonly number[]): number {
  return f1s.reduce((sum, f1) => sum + f1, 0) / f1s.length;
}

/**
 * All scores of one set of predictions.
 * @throws RangeError when there is no scan, the lists differ in length, or a label is out of range.
 */
export function scoresOf(truth: readonly number[], predicted: readonly number[], classes: number): Scores {
  if (truth.length === 0) throw new RangeError('No scan to score');
  const matrix = confusionMatrix(truth, predicted, classes);
  const f1 = f1PerClass(matrix);
  const right = matrix.reduce((sum, row, label) => sum + row[label]!, 0);
  return { macroF1: macroF1(f1), f1, accuracy: right / truth.length, matrix };
}

/**
 * Index of the greatest value; the first of equals, so a tie (two classes at exactly 0.5) goes to the lower label and
 * drops no scan.
 */
export function argmax(row: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < row.length; i++) if (row[i]! > row[best]!) best = i;
  return best;
}
