// Ways to combine members in one form, so that each can be chosen on some scans and applied to others.
import type { Predictions } from '../predictions.ts';
import { type GreedySelection, greedySelection } from './greedy.ts';
import { meanOf, weightedMeanOf } from './mean.ts';
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
