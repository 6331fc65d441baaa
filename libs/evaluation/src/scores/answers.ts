// Scores of predicted classes alone, where there are no probabilities or only the competition's score is needed.
import { EvaluationInputError } from '../predictions.ts';
import { accuracyOf, f1Of, macroF1Of, marginsOf } from './confusion.ts';

export interface AnswerScores {
  /** Unweighted mean of `f1`. */
  macroF1: number;
  /** F1 of each class; 0 for one that is absent in truth and prediction. */
  f1: number[];
  accuracy: number;
  /** Counts of scans, rows: truth, columns: prediction. */
  matrix: number[][];
}

/**
 * Scores of predicted classes; labels are class indices, 0 … classes−1. The figures are those that `scoresOf` gives for probabilities
 * with these most probable classes.
 * @throws {EvaluationInputError} if there is no scan, the lists differ in length, or a label is out of range.
 */
export function answerScores(
  truth: ArrayLike<number>,
  predicted: ArrayLike<number>,
  classes: number,
): AnswerScores {
  if (truth.length !== predicted.length)
    throw new EvaluationInputError(
      'lengths-differ',
      `${truth.length} true labels, but ${predicted.length} predicted ones`,
    );
  if (truth.length === 0) throw new EvaluationInputError('no-scan', 'there is no scan to evaluate');
  const counts = new Float64Array(classes ** 2);
  const isClass = (label: number) => Number.isInteger(label) && label >= 0 && label < classes;
  for (let i = 0; i < truth.length; i++) {
    const [label, answer] = [truth[i]!, predicted[i]!];
    if (!isClass(label) || !isClass(answer))
      throw new EvaluationInputError(
        'label-out-of-range',
        `scan ${i}: label ${label}, predicted ${answer}: not both in 0 … ${classes - 1}`,
      );
    counts[label * classes + answer]! += 1;
  }
  const margins = marginsOf(counts, classes);
  const each = Array.from({ length: classes }, (_, k) => k);
  return {
    macroF1: macroF1Of(margins),
    f1: each.map((k) => f1Of(margins, k)),
    accuracy: accuracyOf(margins),
    matrix: each.map((k) => [...counts.subarray(k * classes, (k + 1) * classes)]),
  };
}
