// Honest figures of combinations that are chosen by their score: chosen on all folds but one, applied to that one, all folds pooled.
import { EvaluationInputError, type Predictions, selectScans, withProbabilities } from '../predictions.ts';
import { checkMembers } from './mean.ts';
import type { Strategy } from './strategies.ts';

export interface Nested<Choice> {
  /** Every scan answered by the choice that did not see its fold; score these. */
  predictions: Predictions;
  /** The choice for each held-out fold, in ascending order of folds. */
  folds: { heldOut: number; choice: Choice }[];
  /** The choice on all scans, for use on new ones. Its score on these scans is too good: report that of `predictions`. */
  final: Choice;
}

/**
 * Nested selection over folds.
 * @param folds fold of each scan, any whole numbers, [scans]
 * @throws {EvaluationInputError} if there are fewer than two folds, or a patient has scans in two folds.
 */
export function nested<Choice>(
  members: readonly Predictions[],
  folds: ArrayLike<number>,
  strategy: Strategy<Choice>,
): Nested<Choice> {
  const first = checkMembers(members);
  checkFolds(first, folds);
  const indices = Array.from({ length: first.scans }, (_, i) => i);
  const pooled = new Float64Array(first.probabilities.length);
  const numbers = [...new Set(Array.from(folds))].sort((a, b) => a - b);
  const choices = numbers.map((heldOut) => {
    const [inside, outside] = [true, false].map((is) => indices.filter((i) => (folds[i] === heldOut) === is));
    const part = (which: readonly number[]) => members.map((member) => selectScans(member, which));
    const choice = strategy.choose(part(outside!));
    const answered = strategy.apply(part(inside!), choice).probabilities;
    inside!.forEach((i, row) =>
      pooled.set(answered.subarray(row * first.classes, (row + 1) * first.classes), i * first.classes),
    );
    return { heldOut, choice };
  });
  return { predictions: withProbabilities(first, pooled), folds: choices, final: strategy.choose(members) };
}

function checkFolds(p: Predictions, folds: ArrayLike<number>): void {
  if (folds.length !== p.scans) {
    throw new EvaluationInputError('lengths-differ', `${p.scans} labels, but ${folds.length} fold numbers`);
  }
  if (new Set(Array.from(folds)).size < 2) {
    throw new EvaluationInputError('option', 'nested selection needs at least two folds');
  }
  const foldOf = new Map<number, number>();
  p.patients.forEach((patient, i) => {
    const other = foldOf.get(patient);
    if (other !== undefined && other !== folds[i]) {
      throw new EvaluationInputError(
        'option',
        `scan ${i}: its patient has scans in the folds ${other} and ${folds[i]}`,
        'give folds that keep the scans of a patient together',
      );
    }
    foldOf.set(patient, folds[i]!);
  });
}
