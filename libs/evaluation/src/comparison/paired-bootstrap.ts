// The difference of two rows of predictions of the same scans, by the bootstrap with the same resamples for both.
import { nearlyEqual } from '../numeric/quantile.ts';
import { checkSameScans, type Predictions } from '../predictions.ts';
import { type Interval, intervalOf } from '../intervals/bca.ts';
import { type Replicates, replicatesOf } from '../intervals/replicates.ts';
import { levelOf, resamplesOf, type ResamplingOptions } from '../intervals/score-intervals.ts';
import { type ScoreName, scoreNames } from '../scores/names.ts';

/** A difference of a score, row A − row B. */
export interface PairedDifference extends Interval {
  /** Two-sided: 2·(1 + the fewer of the replicates ≤ 0 and ≥ 0) / (resamples + 1), at most 1. */
  bootstrapP: number | null;
  /** [resamples], NaN where either row's score is undefined. */
  replicates: Float64Array;
}

/**
 * Differences of all scores, row A − row B, with BCa and percentile intervals.
 * @throws {EvaluationInputError} if the rows are not of the same scans, or an option is out of range.
 */
export function pairedDifferences(
  a: Predictions,
  b: Predictions,
  options: ResamplingOptions = {},
): Record<ScoreName, PairedDifference> {
  checkSameScans(a, b);
  const resamples = resamplesOf(a, options);
  return differencesOf(replicatesOf(a, resamples), replicatesOf(b, resamples), levelOf(options));
}

/** The same from replicates of the same resamples. */
export function differencesOf(
  a: Replicates,
  b: Replicates,
  level: number,
): Record<ScoreName, PairedDifference> {
  const minus = (x: Float64Array, y: Float64Array) => x.map((value, i) => value - y[i]!);
  const ofScore = (at: number): PairedDifference => {
    const replicates = minus(a.resampled[at]!, b.resampled[at]!);
    const estimate = a.estimate[at]! - b.estimate[at]!;
    const jackknife = minus(a.jackknife[at]!, b.jackknife[at]!);
    const interval = intervalOf({ estimate, resampled: replicates, jackknife }, level);
    return { ...interval, bootstrapP: bootstrapP(replicates), replicates };
  };
  return Object.fromEntries(scoreNames.map((name, at) => [name, ofScore(at)])) as Record<
    ScoreName,
    PairedDifference
  >;
}

function bootstrapP(replicates: Float64Array): number | null {
  let notAbove = 0;
  let notBelow = 0;
  let count = 0;
  for (const value of replicates) {
    if (Number.isNaN(value)) continue;
    const zero = nearlyEqual(value, 0);
    count += 1;
    if (value <= 0 || zero) notAbove += 1;
    if (value >= 0 || zero) notBelow += 1;
  }
  return count === 0 ? null : Math.min(1, (2 * (1 + Math.min(notAbove, notBelow))) / (count + 1));
}
