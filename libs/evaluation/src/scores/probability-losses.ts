// Losses of the probabilities themselves, one value a scan: log loss and Brier score.
import type { Predictions } from '../predictions.ts';

/** Least probability that the log loss sees, 2⁻⁵² (scikit-learn's clipping): a certain and wrong answer costs 36.04. */
export const leastProbability = 2 ** -52;

/** −ln(probability of the true class), clipped at 2⁻⁵², [scans]. */
export function logLosses(p: Predictions): Float64Array {
  return Float64Array.from(
    p.labels,
    (label, i) => -Math.log(Math.max(p.probabilities[i * p.classes + label]!, leastProbability)),
  );
}

/** Σ over classes of (probability − [class is the true one])², 0 … 2 (Brier 1950), [scans]. */
export function brierScores(p: Predictions): Float64Array {
  return Float64Array.from(p.labels, (label, i) => {
    let sum = 0;
    for (let k = 0; k < p.classes; k++)
      sum += (p.probabilities[i * p.classes + k]! - (k === label ? 1 : 0)) ** 2;
    return sum;
  });
}

/** Mean log loss, natural logarithm. */
export function logLossOf(p: Predictions): number {
  return logLosses(p).reduce((sum, loss) => sum + loss, 0) / p.scans;
}
