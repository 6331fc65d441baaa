// DeLong's test of two AUROCs on the same scans (DeLong et al., Biometrics 44, 1988), by midranks (Sun and Xu, IEEE SPL 21, 2014).
import { erfc } from '../numeric/normal.ts';

export interface DeLong {
  aurocA: number;
  aurocB: number;
  varianceA: number;
  varianceB: number;
  covariance: number;
  /** (aurocA − aurocB) / its standard error; null if the standard error is 0 or unknown. */
  z: number | null;
  /** Two-sided p-value; 1 if the rows rank alike, null if it is unknown. */
  p: number | null;
}

/**
 * Compares how two scores rank positive items before negative ones. Items are taken as independent. Variances need two positive
 * and two negative items and are NaN otherwise.
 * @param positive whether each item is positive, [items]
 * @returns null if there is no positive or no negative item.
 */
export function delong(
  positive: ArrayLike<boolean>,
  a: ArrayLike<number>,
  b: ArrayLike<number>,
): DeLong | null {
  const index = Array.from({ length: positive.length }, (_, i) => i);
  const positives = index.filter((i) => positive[i]);
  const negatives = index.filter((i) => !positive[i]);
  if (positives.length === 0 || negatives.length === 0) return null;
  const [ofA, ofB] = [placements(positives, negatives, a), placements(positives, negatives, b)];
  const cov = (x: typeof ofA, y: typeof ofA) =>
    covariance(x.positives, y.positives) / positives.length +
    covariance(x.negatives, y.negatives) / negatives.length;
  const [varianceA, varianceB, shared] = [cov(ofA, ofA), cov(ofB, ofB), cov(ofA, ofB)];
  const variance = varianceA + varianceB - 2 * shared;
  const gap = ofA.auroc - ofB.auroc;
  const alike = Math.abs(gap) <= 1e-15 && !(variance > 1e-15);
  const z = variance > 1e-15 ? gap / Math.sqrt(variance) : null;
  return {
    aurocA: ofA.auroc,
    aurocB: ofB.auroc,
    varianceA,
    varianceB,
    covariance: shared,
    z,
    p: z === null ? (alike ? 1 : null) : erfc(Math.abs(z) / Math.SQRT2),
  };
}

/** Share of the other side's items that each item is on the right side of, ties counted half. */
function placements(positives: number[], negatives: number[], score: ArrayLike<number>) {
  const all = midranks([...positives, ...negatives].map((i) => score[i]!));
  const inPositives = midranks(positives.map((i) => score[i]!));
  const inNegatives = midranks(negatives.map((i) => score[i]!));
  const [m, n] = [positives.length, negatives.length];
  const ofPositives = inPositives.map((rank, i) => (all[i]! - rank) / n);
  const ofNegatives = inNegatives.map((rank, j) => 1 - (all[m + j]! - rank) / m);
  return { positives: ofPositives, negatives: ofNegatives, auroc: mean(ofPositives) };
}

/** Ranks from 1, equal values share their mean rank. */
function midranks(values: readonly number[]): Float64Array {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const ranks = new Float64Array(values.length);
  for (let start = 0; start < order.length;) {
    let end = start;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end += 1;
    for (let at = start; at < end; at++) ranks[order[at]!] = (start + 1 + end) / 2;
    start = end;
  }
  return ranks;
}

const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length;

function covariance(x: Float64Array, y: Float64Array): number {
  const [mx, my] = [mean(x), mean(y)];
  return x.reduce((sum, value, i) => sum + (value - mx) * (y[i]! - my), 0) / (x.length - 1);
}
