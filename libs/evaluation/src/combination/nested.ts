// Honest figures of combinations that are chosen by their score: chosen on all folds but one, applied to that one, all folds pooled.
import { EvaluationInputError, type Predictions, selectScans, withProbabilities } from '../predictions.ts';
import { type GreedySelection, greedySelection } from './greedy.ts';
import { checkMembers, meanOf, weightedMeanOf } from './mean.ts';
import { applyTemperature, type FittedTemperature, fitTemperature } from './temperature.ts';
import { applyThreshold, type FittedThreshold, fitThreshold } from './threshold.ts';
import { type FittedWeights, fitWeights } from './weighted.ts';

/** A way to combine members: `choose` looks at labels, `apply` must not. */
export interface Strategy<Choice> {
  choose(members: readonly Predictions[]): Choice;
  apply(members: readonly Predictions[], choice: Choice): Predictions;
}

/** Plain mean, the default: chooses nothing. */
export const mean: Strategy<null> = { choose: () => null, apply: (members) => meanOf(members) };

/** Weights of least log loss. */
export const weighted: Strategy<FittedWeights> = {
  choose: (members) => fitWeights(members),
  apply: (members, { weights }) => weightedMeanOf(members, weights),
};

const applyGreedy = (members: readonly Predictions[], { weights }: GreedySelection) =>
  weightedMeanOf(members, weights);

/** Greedy selection by macro F1. */
export const greedyMacroF1: Strategy<GreedySelection> = {
  choose: (members) => greedySelection(members, { loss: 'macroF1' }),
  apply: applyGreedy,
};

/** Greedy selection by log loss. */
export const greedyLogLoss: Strategy<GreedySelection> = {
  choose: (members) => greedySelection(members, { loss: 'logLoss' }),
  apply: applyGreedy,
};

/** Mean with a temperature. */
export const meanTemperature: Strategy<FittedTemperature> = {
  choose: (members) => fitTemperature(meanOf(members)),
  apply: (members, { temperature }) => applyTemperature(meanOf(members), temperature),
};

/** Mean with a threshold, two classes; gives decisions only (see {@link applyThreshold}). */
export const meanThreshold: Strategy<FittedThreshold> = {
  choose: (members) => fitThreshold(meanOf(members)),
  apply: (members, choice) => applyThreshold(meanOf(members), choice),
};

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
