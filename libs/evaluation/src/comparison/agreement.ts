// How often two rows give the same answer, be it right or wrong.
import { orNull } from '../numeric/quantile.ts';
import { checkSameScans, type Predictions } from '../predictions.ts';
import { kappaOf } from '../scores/agreement.ts';
import { marginsOf, predictedClasses } from '../scores/confusion.ts';

export interface AnswerAgreement {
  /** Share of scans that both call the same. */
  share: number;
  /** Cohen's kappa of the two lists of answers; null if both call every scan the same class. */
  kappa: number | null;
}

/**
 * Agreement of the predicted classes of two rows; labels are not looked at.
 * @throws {EvaluationInputError} if the rows are not of the same scans.
 */
export function answerAgreement(a: Predictions, b: Predictions): AnswerAgreement {
  checkSameScans(a, b);
  const ofA = predictedClasses(a.probabilities, a.classes);
  const ofB = predictedClasses(b.probabilities, b.classes);
  const counts = new Float64Array(a.classes ** 2);
  ofA.forEach((answer, i) => (counts[answer * a.classes + ofB[i]!]! += 1));
  const margins = marginsOf(counts, a.classes);
  const same = margins.right.reduce((sum, count) => sum + count, 0);
  return { share: same / a.scans, kappa: orNull(kappaOf(margins)) };
}
