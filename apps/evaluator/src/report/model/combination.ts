// Ways to combine the members, each chosen by its score on out-of-fold probabilities and reported nested.
import {
  compareRows,
  describeDifference,
  type FittedTemperature,
  type FittedThreshold,
  type FittedWeights,
  type GreedySelection,
  holm,
  nested,
  type Predictions,
  scoreIntervals,
  strategies,
  type Strategy,
} from '@ct-ensemble/evaluation';
import type { CombinationRow, SplitReport } from './report-model.ts';
import { brief, type EvaluationOptions } from './rows.ts';
import { type ScoredSplit, singlesOf } from './scored-split.ts';

interface Tried {
  name: string;
  predictions: Predictions;
  choice: string;
  /** The combination gives decisions, not probabilities. */
  decisions: boolean;
}

interface Described<Choice> {
  strategy: Strategy<Choice>;
  words: (choice: Choice) => string;
  decisions?: boolean;
}

export function combinationOf(
  split: ScoredSplit,
  classes: readonly string[],
  options: EvaluationOptions,
): SplitReport['combination'] {
  const singles = singlesOf(split);
  const notes = whyNothingIsChosen(split);
  if (notes.length > 0) return { notes, rows: [] };
  const members = singles.map(({ predictions }) => predictions);
  const names = singles.map(({ name }) => name);
  const run = <Choice>(name: string, { strategy, words, decisions = false }: Described<Choice>): Tried => {
    const { predictions, final } = nested(members, split.folds!, strategy);
    return { name, predictions, choice: words(final), decisions };
  };
  const weighted = ({ weights }: FittedWeights | GreedySelection) => weightWords(names, weights);
  const temperature = ({ temperature: t }: FittedTemperature) => `T = ${t.toFixed(2)}`;
  const threshold = ({ threshold: t, positive, gain }: FittedThreshold) =>
    `${classes[positive]} from ${t.toFixed(3)}; on the scans of the choice it gains ${gain.toFixed(3)}`;
  const tried = [
    run('Mean', { strategy: strategies.mean, words: () => 'nothing is chosen' }),
    run('Weights of least log loss', { strategy: strategies.weighted, words: weighted }),
    run('Greedy by macro F1', { strategy: strategies.greedyMacroF1, words: weighted }),
    run('Greedy by log loss', { strategy: strategies.greedyLogLoss, words: weighted }),
    run('Mean with a temperature', { strategy: strategies.meanTemperature, words: temperature }),
    ...(classes.length === 2
      ? [
          run('Mean with a threshold', {
            strategy: strategies.meanThreshold,
            words: threshold,
            decisions: true,
          }),
        ]
      : []),
  ];
  return {
    notes: [
      'Each way is chosen on all folds but one and applied to that one, and the folds are pooled: the figures are of scans that the choice did not see. The column "choice" is made on all scans, for use on new ones. The mean stays the default.',
    ],
    rows: scored(tried, options),
  };
}

/** One sentence, or none if the members can be combined by their scores. */
function whyNothingIsChosen(split: ScoredSplit): string[] {
  if (split.split !== 'out-of-fold') {
    return [
      'No weights, members, temperature or threshold are chosen on these scans, because the run has no folds: a choice made on scans on which the best epochs were chosen, or on test scans, would look better than it is. The mean of the members needs no choice.',
    ];
  }
  if (singlesOf(split).length < 2)
    return ['There is one member for each scan only, so there is nothing to combine.'];
  if (split.folds === null || new Set(split.folds).size < 2)
    return ['The folds of the scans are not known, so no combination is chosen.'];
  return [];
}

function scored(tried: readonly Tried[], options: EvaluationOptions): CombinationRow[] {
  const mean = tried[0]!;
  const others = tried.slice(1);
  const pairs = others.map(({ name, predictions }) => {
    const [pair] = compareRows([{ name, predictions }, { name: 'the mean', predictions: mean.predictions }], options); // prettier-ignore
    return pair!;
  });
  const adjusted = holm(pairs.map(({ swapP }) => swapP ?? 1));
  const words = pairs.map((pair, i) =>
    describeDifference({
      ...pair,
      adjustedP: pair.swapP === null ? null : adjusted[i]!,
      correction: pairs.length > 1 ? 'Holm' : 'none',
      pairs: pairs.length,
      distinguishable: pair.swapP !== null && adjusted[i]! < 1 - pair.level,
    }),
  );
  return tried.map(({ name, predictions, choice, decisions }, i) => {
    const { scores } = scoreIntervals(predictions, options);
    return {
      name,
      macroF1: brief(scores.macroF1),
      logLoss: decisions ? null : brief(scores.logLoss),
      accuracy: brief(scores.accuracy),
      words: i === 0 ? null : words[i - 1]!,
      choice,
    };
  });
}

/** `a 0.60, b 0.40`: the weights above 0.5 %, the greatest first. */
function weightWords(names: readonly string[], weights: ArrayLike<number>): string {
  const used = names
    .map((name, i) => ({ name, weight: weights[i]! }))
    .filter(({ weight }) => weight >= 0.005)
    .sort((a, b) => b.weight - a.weight);
  return used.map(({ name, weight }) => `${name} ${weight.toFixed(2)}`).join(', ');
}
