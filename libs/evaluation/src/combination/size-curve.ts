// How the score of the mean grows with the number of members: would more members help, or would fewer do?
import { permutation } from '@ct-ensemble/core';
import { orNull } from '../numeric/quantile.ts';
import { type Predictions, withProbabilities } from '../predictions.ts';
import { confusionCounts, macroF1Of, marginsOf } from '../scores/confusion.ts';
import { type ScoreName, scoreNames } from '../scores/names.ts';
import { scoreCount, WeightedScores } from '../scores/weighted.ts';
import { addTo, checkMembers, divided } from './mean.ts';

export interface SizeCurveOptions {
  /** Default `macroF1`. */
  score?: ScoreName;
  /** Greatest number of subsets a size, default 100. All subsets are taken if there are no more than that. */
  subsets?: number;
  seed?: number;
}

/** Scores of the means of subsets of one size. */
export interface SizePoint {
  members: number;
  subsets: number;
  /** True if these are all subsets of the size. */
  complete: boolean;
  /** Over the subsets; null if the score is undefined in one. */
  mean: number | null;
  lowest: number | null;
  highest: number | null;
}

/**
 * Mean, lowest and highest score of the mean of 1, 2, … all members. Where there are too many subsets of a size, random ones are
 * taken, keyed by (seed, size, number of the subset); they may repeat.
 */
export function sizeCurve(members: readonly Predictions[], options: SizeCurveOptions = {}): SizePoint[] {
  const first = checkMembers(members);
  const { score = 'macroF1', subsets: limit = 100, seed = 0 } = options;
  const ones = new Int32Array(first.scans).fill(1);
  const values = new Float64Array(scoreCount(first.classes));
  const sum = new Float64Array(first.probabilities.length);
  const scoreOf = (subset: readonly number[]) => {
    sum.fill(0);
    for (const m of subset) addTo(sum, members[m]!.probabilities);
    // Ranking all scans for the other scores takes far longer.
    const mean = divided(sum, subset.length);
    if (score === 'macroF1')
      return macroF1Of(marginsOf(confusionCounts({ ...first, probabilities: mean }), first.classes));
    new WeightedScores(withProbabilities(first, mean)).evaluate(ones, values);
    return values[scoreNames.indexOf(score)]!;
  };
  return members.map((_, index) => {
    const size = index + 1;
    const complete = binomial(members.length, size) <= limit;
    const subsets = complete
      ? combinations(members.length, size)
      : Array.from({ length: limit }, (__, sample) =>
          permutation(members.length, { seed, purpose: 'evaluation/size-curve', epoch: size, sample }).slice(
            0,
            size,
          ),
        );
    const scores = subsets.map(scoreOf);
    return {
      members: size,
      subsets: subsets.length,
      complete,
      mean: orNull(scores.reduce((sum, value) => sum + value, 0) / scores.length),
      lowest: orNull(Math.min(...scores)),
      highest: orNull(Math.max(...scores)),
    };
  });
}

function binomial(n: number, k: number): number {
  let count = 1;
  for (let i = 1; i <= k; i++) count = (count * (n - k + i)) / i;
  return count;
}

function combinations(n: number, k: number): number[][] {
  if (k === 0) return [[]];
  return Array.from({ length: n - k + 1 }, (_, last) => last + k - 1).flatMap((last) =>
    combinations(last, k - 1).map((rest) => [...rest, last]),
  );
}
