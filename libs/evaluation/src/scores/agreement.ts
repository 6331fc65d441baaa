// Scores that compare the confusion matrix with chance: Matthews correlation, Cohen's kappa, quadratic kappa.
import type { Margins } from './confusion.ts';

/**
 * Matthews correlation coefficient of any number of classes (Gorodkin 2004), −1 … 1; 0 if truth or prediction holds one class only.
 */
export function mccOf({ truth, predicted, right, total }: Margins): number {
  let both = 0;
  let truthSquares = 0;
  let predictedSquares = 0;
  let hits = 0;
  for (let k = 0; k < truth.length; k++) {
    both += truth[k]! * predicted[k]!;
    truthSquares += truth[k]! ** 2;
    predictedSquares += predicted[k]! ** 2;
    hits += right[k]!;
  }
  const spread = (total ** 2 - predictedSquares) * (total ** 2 - truthSquares);
  return spread === 0 ? 0 : (hits * total - both) / Math.sqrt(spread);
}

/** Cohen's kappa (1960): (observed − chance) / (1 − chance) agreement; NaN if chance agreement is 1. */
export function kappaOf({ truth, predicted, right, total }: Margins): number {
  let hits = 0;
  let both = 0;
  for (let k = 0; k < truth.length; k++) {
    hits += right[k]!;
    both += truth[k]! * predicted[k]!;
  }
  const chance = both / total ** 2;
  return chance === 1 ? NaN : (hits / total - chance) / (1 - chance);
}

/**
 * Kappa with the squared distance of the classes as the cost of an error (Cohen 1968), for classes in an order such as severity;
 * NaN if truth and prediction hold the same single class.
 */
export function quadraticKappaOf(counts: Float64Array, { truth, predicted, total }: Margins): number {
  let observed = 0;
  let expected = 0;
  const classes = truth.length;
  for (let k = 0; k < classes; k++) {
    for (let j = 0; j < classes; j++) {
      const cost = (k - j) ** 2;
      observed += cost * counts[k * classes + j]!;
      expected += cost * truth[k]! * predicted[j]!;
    }
  }
  return expected === 0 ? NaN : 1 - (observed * total) / expected;
}
