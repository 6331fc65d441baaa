// How much members disagree about a scan: entropies, mutual information, votes, spread.
import { checkMembers, meanOf } from '../combination/mean.ts';
import type { Predictions } from '../predictions.ts';
import { argmax, predictedClasses } from '../scores/confusion.ts';

/** Doubt about each scan; entropies in nats. */
export interface Disagreement {
  /** Entropy of the mean probabilities, −Σ p̄·ln p̄, 0 … ln(classes): all doubt, [scans]. */
  predictiveEntropy: Float64Array;
  /** Mean of the members' entropies: the doubt that every member has, [scans]. */
  expectedEntropy: Float64Array;
  /** Their difference, ≥ 0: the doubt that comes from the members' disagreement (Houlsby et al. 2011, BALD), [scans]. */
  mutualInformation: Float64Array;
  /** `predictiveEntropy` / ln(classes), 0 … 1, [scans]. */
  normalisedEntropy: Float64Array;
  /** Share of members whose most probable class is not the mean's, [scans]. */
  votesAgainst: Float64Array;
  /** Standard deviation of the members' probabilities (divided by their number), [scans × classes]. */
  spread: Float64Array;
}

/** The doubt about each scan of members of the same scans; labels are not looked at. */
export function disagreement(members: readonly Predictions[]): Disagreement {
  const { scans, classes } = checkMembers(members);
  const mean = meanOf(members).probabilities;
  const row = (p: Float64Array, i: number) => p.subarray(i * classes, (i + 1) * classes);
  const answers = members.map((member) => predictedClasses(member.probabilities, classes));
  const perScan = (value: (i: number) => number) => Float64Array.from({ length: scans }, (_, i) => value(i));
  const overMembers = (value: (member: Predictions, m: number) => number) =>
    members.reduce((sum, member, m) => sum + value(member, m), 0) / members.length;
  const predictiveEntropy = perScan((i) => entropy(row(mean, i)));
  const expectedEntropy = perScan((i) => overMembers((member) => entropy(row(member.probabilities, i))));
  return {
    predictiveEntropy,
    expectedEntropy,
    mutualInformation: perScan((i) => Math.max(0, predictiveEntropy[i]! - expectedEntropy[i]!)),
    normalisedEntropy: predictiveEntropy.map((value) => value / Math.log(classes)),
    votesAgainst: perScan((i) => {
      const answer = argmax(row(mean, i));
      return overMembers((_, m) => (answers[m]![i] === answer ? 0 : 1));
    }),
    spread: mean.map((value, at) =>
      Math.sqrt(overMembers((member) => (member.probabilities[at]! - value) ** 2)),
    ),
  };
}

/** −Σ p·ln p, with 0·ln 0 = 0. */
export function entropy(row: Float64Array): number {
  let sum = 0;
  for (const p of row) if (p > 0) sum -= p * Math.log(p);
  return sum;
}
