// The decision threshold of two classes.
import { EvaluationInputError, type Predictions, withProbabilities } from '../predictions.ts';

export interface FittedThreshold {
  /** The class that is answered if its probability is at least the threshold. */
  positive: number;
  threshold: number;
  /** Macro F1 with the threshold on the scans of the fit. */
  macroF1: number;
  /** `macroF1` minus that at 0.5. A gain on the scans of the fit usually is none on others: report the nested figure. */
  gain: number;
}

/**
 * The threshold with the best macro F1 among 0.5 and the midpoints of neighbouring probabilities; of equals (within 1e-12) the one
 * nearest to 0.5, then the lower.
 * @throws {EvaluationInputError} unless there are two classes.
 */
export function fitThreshold(p: Predictions, positive = 0): FittedThreshold {
  checkBinary(p, positive);
  const order = Int32Array.from(p.labels, (_, i) => i);
  const score = (i: number) => p.probabilities[i * 2 + positive]!;
  order.sort((a, b) => score(a) - score(b));
  const values = [...new Set(Array.from(order, score))];
  const midpoints = values.slice(1).map((value, i) => (value + values[i]!) / 2);
  const candidates = [...new Set([0.5, ...midpoints])].sort((a, b) => a - b);
  const positives = p.labels.reduce((sum, label) => sum + (label === positive ? 1 : 0), 0);
  let below = 0; // scans below the candidate
  let missed = 0; // those of the positive class among them
  const scores = candidates.map((threshold) => {
    for (; below < order.length && score(order[below]!) < threshold; below++) {
      if (p.labels[order[below]!] === positive) missed += 1;
    }
    const errors = missed + (p.scans - positives - (below - missed));
    const f1 = (right: number) => (2 * right) / Math.max(1, 2 * right + errors);
    return (f1(positives - missed) + f1(below - missed)) / 2;
  });
  const best = Math.max(...scores);
  const distance = (t: number) => Number(Math.abs(t - 0.5).toFixed(15));
  const threshold = candidates
    .filter((_, i) => scores[i]! >= best - 1e-12)
    .reduce((a, b) => (distance(b) < distance(a) ? b : a));
  const macroF1 = scores[candidates.indexOf(threshold)]!;
  return { positive, threshold, macroF1, gain: macroF1 - scores[candidates.indexOf(0.5)]! };
}

/** The decisions as probabilities 0 and 1: they have a macro F1, but no meaningful log loss, AUROC or calibration. */
export function applyThreshold(
  p: Predictions,
  { threshold, positive }: Pick<FittedThreshold, 'threshold' | 'positive'>,
): Predictions {
  checkBinary(p, positive);
  const decisions = new Float64Array(p.scans * 2);
  for (let i = 0; i < p.scans; i++) {
    const answer = p.probabilities[i * 2 + positive]! >= threshold ? positive : 1 - positive;
    decisions[i * 2 + answer] = 1;
  }
  return withProbabilities(p, decisions);
}

function checkBinary(p: Predictions, positive: number): void {
  if (p.classes === 2 && (positive === 0 || positive === 1)) return;
  throw new EvaluationInputError('option', `a threshold needs two classes, and there are ${p.classes}`);
}
