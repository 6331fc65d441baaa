// Confidence intervals from bootstrap replicates: percentile, and BCa (bias-corrected and accelerated; Efron, JASA 82, 1987).
import { normalCdf, normalQuantile } from '../numeric/normal.ts';
import { nearlyEqual, orNull, quantileOfSorted } from '../numeric/quantile.ts';

/** Replicates of one score; NaN marks an undefined one and is left out. */
export interface Replicated {
  estimate: number;
  resampled: Float64Array;
  jackknife: Float64Array;
}

/** Interval of one score; null where it cannot be formed. */
export interface Interval {
  /** The score of the whole set; null if it is undefined. */
  estimate: number | null;
  /** The interval to report: BCa if it exists, else percentile. */
  interval: [number, number] | null;
  method: 'bca' | 'percentile' | null;
  percentile: [number, number] | null;
  /** Null if every replicate lies on one side of the estimate, or no patient's absence changes the score. */
  bca: [number, number] | null;
  /** Standard deviation of the replicates. */
  standardError: number | null;
  /** Resamples in which the score is undefined, such as AUROC without a scan of a class. */
  undefinedResamples: number;
  /** Bias correction of BCa: the normal quantile of the share of replicates below the estimate (ties count half). */
  z0: number | null;
  /** Acceleration of BCa: the skewness of the jackknife values, Σd³ / 6(Σd²)^1.5. */
  acceleration: number | null;
  /** The quantiles of the replicates at which BCa's ends lie. */
  levels: [number, number] | null;
}

/**
 * The interval of one score at the given level (0.95: 95 %). With z the normal quantiles of (1 ∓ level)/2, the ends of BCa are the
 * quantiles Φ(z0 + (z0 + z) / (1 − a·(z0 + z))) of the replicates; quantiles are interpolated linearly.
 */
export function intervalOf({ estimate, resampled, jackknife }: Replicated, level = 0.95): Interval {
  const values = resampled.filter((value) => !Number.isNaN(value)).sort();
  const undefinedResamples = resampled.length - values.length;
  const none = { percentile: null, bca: null, interval: null, method: null, standardError: null } as const;
  const noBca = { z0: null, acceleration: null, levels: null } as const;
  if (Number.isNaN(estimate) || values.length === 0 || jackknife.length < 2) {
    return { estimate: orNull(estimate), undefinedResamples, ...none, ...noBca };
  }
  const q = [(1 - level) / 2, (1 + level) / 2] as const;
  const percentile: [number, number] = [quantileOfSorted(values, q[0]), quantileOfSorted(values, q[1])];
  const { bca, ...diagnostics } = bcaOf({ estimate, resampled: values, jackknife }, q);
  return {
    estimate,
    interval: bca ?? percentile,
    method: bca === null ? 'percentile' : 'bca',
    percentile,
    bca,
    standardError: standardDeviation(values),
    undefinedResamples,
    ...diagnostics,
  };
}

function bcaOf(
  { estimate, resampled, jackknife }: Replicated,
  q: readonly [number, number],
): Pick<Interval, 'bca' | 'z0' | 'acceleration' | 'levels'> {
  let below = 0;
  for (const value of resampled) below += nearlyEqual(value, estimate) ? 0.5 : value < estimate ? 1 : 0;
  const share = below / resampled.length;
  if (share <= 0 || share >= 1) return { bca: null, z0: null, acceleration: null, levels: null };
  const z0 = normalQuantile(share);
  const acceleration = accelerationOf(jackknife.filter((value) => !Number.isNaN(value)));
  if (acceleration === null) return { bca: null, z0, acceleration, levels: null };
  const level = (p: number) => {
    const z = z0 + normalQuantile(p);
    return normalCdf(z0 + z / (1 - acceleration * z));
  };
  const levels: [number, number] = [level(q[0]), level(q[1])];
  return {
    bca: [quantileOfSorted(resampled, levels[0]), quantileOfSorted(resampled, levels[1])],
    z0,
    acceleration,
    levels,
  };
}

function accelerationOf(jackknife: Float64Array): number | null {
  const mean = jackknife.reduce((sum, value) => sum + value, 0) / jackknife.length;
  if (jackknife.every((value) => nearlyEqual(value, mean))) return null;
  let squares = 0;
  let cubes = 0;
  for (const value of jackknife) {
    const d = mean - value;
    squares += d ** 2;
    cubes += d ** 3;
  }
  return cubes / (6 * squares ** 1.5);
}

function standardDeviation(values: Float64Array): number | null {
  if (values.length < 2) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1));
}
