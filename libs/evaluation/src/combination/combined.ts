// Weights, a temperature and a threshold, chosen one after the other: what a submission may ask for.
import { EvaluationInputError, type Predictions, withProbabilities } from '../predictions.ts';
import { greedySelection } from './greedy.ts';
import { checkMembers, meanOf, weightedMeanOf } from './mean.ts';
import type { Strategy } from './strategies.ts';
import { applyTemperature, type FittedTemperature, fitTemperature } from './temperature.ts';
import { type FittedThreshold, fitThreshold } from './threshold.ts';
import { fitWeights } from './weighted.ts';

/** `mean`: equal weights; `weighted`: those of least log loss; `greedy`: selection by macro F1. */
export type CombinationMethod = 'mean' | 'weighted' | 'greedy';

export interface CombinationOptions {
  method: CombinationMethod;
  /** Fit a temperature to the weighted mean. */
  temperature?: boolean;
  /** Fit a threshold, two classes only. */
  threshold?: boolean;
}

export interface CombinationChoice {
  /** Sum 1, [members]. */
  weights: number[];
  temperature: FittedTemperature | null;
  threshold: FittedThreshold | null;
}

/**
 * The strategy of these options. The temperature is fitted to the weighted mean, the threshold to what the temperature makes of it. With
 * a threshold the probabilities are rescaled by {@link centreThreshold}, so that the most probable class is the answer.
 */
export function combined({
  method,
  temperature,
  threshold,
}: CombinationOptions): Strategy<CombinationChoice> {
  const weightsOf = (members: readonly Predictions[]): number[] => {
    const { length } = members;
    if (method === 'weighted') return fitWeights(members).weights;
    if (method === 'greedy') return greedySelection(members, { loss: 'macroF1' }).weights;
    return new Array<number>(length).fill(1 / length);
  };
  const mixed = (members: readonly Predictions[], weights: readonly number[]) =>
    method === 'mean' ? meanOf(members) : weightedMeanOf(members, weights);
  return {
    choose(members) {
      checkMembers(members);
      const weights = weightsOf(members);
      let row = mixed(members, weights);
      const fitted = temperature ? fitTemperature(row) : null;
      if (fitted !== null) row = applyTemperature(row, fitted.temperature);
      return { weights, temperature: fitted, threshold: threshold ? fitThreshold(row) : null };
    },
    apply(members, choice) {
      let row = mixed(members, choice.weights);
      if (choice.temperature !== null) row = applyTemperature(row, choice.temperature.temperature);
      return choice.threshold === null ? row : centreThreshold(row, choice.threshold);
    },
  };
}

/**
 * Stretches the probabilities of two classes, so that the threshold comes to lie at 0.5 and 0 and 1 stay: a probability p of the class
 * `positive` becomes p / 2t below the threshold t, and ½ + (p − t) / (2 − 2t) from there on. The order of the scans stays the same; the numbers no
 * longer say how probable a class is.
 * @throws {EvaluationInputError} unless there are two classes, the class is the first, and the threshold lies between 0 and 1.
 */
export function centreThreshold(
  p: Predictions,
  { threshold, positive }: Pick<FittedThreshold, 'threshold' | 'positive'>,
): Predictions {
  // A probability of exactly 0.5 is answered with the first class.
  if (p.classes !== 2 || positive !== 0 || !(threshold > 0 && threshold < 1))
    throw new EvaluationInputError(
      'option',
      `a threshold of ${threshold} for class ${positive} of ${p.classes} cannot be applied`,
    );
  const stretched = new Float64Array(p.probabilities.length);
  for (let at = 0; at < stretched.length; at += 2) {
    const value = p.probabilities[at]!;
    const first =
      value < threshold
        ? Math.min(value / (2 * threshold), 0.5 - Number.EPSILON)
        : Math.min(0.5 + (value - threshold) / (2 - 2 * threshold), 1);
    stretched[at] = first;
    stretched[at + 1] = 1 - first;
  }
  return withProbabilities(p, stretched);
}
