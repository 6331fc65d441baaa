// Means of members' probabilities: plain and weighted.
import { checkSameScans, EvaluationInputError, type Predictions, withProbabilities } from '../predictions.ts';

/**
 * Mean of the members' probabilities, the default ensemble.
 * @throws {EvaluationInputError} if there is no member, or members are not of the same scans.
 */
export function meanOf(members: readonly Predictions[]): Predictions {
  const first = checkMembers(members);
  const sum = first.probabilities.slice();
  for (const member of members.slice(1)) addTo(sum, member.probabilities);
  return withProbabilities(first, divided(sum, members.length));
}

/**
 * Σ wₘ·pₘ of the members' probabilities.
 * @param weights not negative, sum 1, [members]
 * @throws {EvaluationInputError} if the weights break that rule, or members are not of the same scans.
 */
export function weightedMeanOf(members: readonly Predictions[], weights: readonly number[]): Predictions {
  const first = checkMembers(members);
  const sum = weights.reduce((total, weight) => total + weight, 0);
  if (
    weights.length !== members.length ||
    weights.some((weight) => !(weight >= 0)) ||
    Math.abs(sum - 1) > 1e-6
  ) {
    throw new EvaluationInputError(
      'option',
      `the weights [${weights.join(', ')}] do not fit ${members.length} members`,
    );
  }
  const mixed = new Float64Array(first.probabilities.length);
  members.forEach(({ probabilities }, m) => {
    for (let i = 0; i < mixed.length; i++) mixed[i]! += weights[m]! * probabilities[i]!;
  });
  return withProbabilities(first, mixed);
}

/** @throws {EvaluationInputError} if there is no member, or members are not of the same scans. */
export function checkMembers(members: readonly Predictions[]): Predictions {
  const first = members[0];
  if (first === undefined) throw new EvaluationInputError('option', 'there is no member to combine');
  for (const member of members) checkSameScans(first, member);
  return first;
}

export function addTo(sum: Float64Array, values: Float64Array): void {
  for (let i = 0; i < sum.length; i++) sum[i]! += values[i]!;
}

export const divided = (values: Float64Array, by: number): Float64Array => values.map((value) => value / by);
