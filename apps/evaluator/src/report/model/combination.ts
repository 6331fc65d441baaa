// Ways to combine the members, each chosen by its score on out-of-fold probabilities and reported nested; and the recipe's own choices.
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
import type { ChosenReport, CombinationRow, SplitReport } from './report-model.ts';
import { brief, type EvaluationOptions } from './rows.ts';
import { type ScoredRow, type ScoredSplit, singlesOf } from './scored-split.ts';

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

export interface CombinationContext {
  classes: readonly string[];
  /** Whether the run's members are trained by fold. */
  hasFolds: boolean;
  options: EvaluationOptions;
}

export function combinationOf(
  split: ScoredSplit,
  { classes, hasFolds, options }: CombinationContext,
): SplitReport['combination'] {
  const singles = singlesOf(split);
  const chosen = chosenReports(split, options);
  const notes = whyNothingIsChosen(split, hasFolds);
  if (notes.length > 0) return { notes, rows: [], chosen };
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
    chosen,
  };
}

/** The submissions that choose, each beside the mean of the same members. */
function chosenReports(split: ScoredSplit, options: EvaluationOptions): ChosenReport[] {
  const rows = split.rows.flatMap((row) => (row.choice === null ? [] : [{ row, choice: row.choice }]));
  const compared = comparedWithMean(
    rows.map(({ row, choice }) => ({ name: row.name, predictions: row.predictions, mean: choice.mean })),
    { meanName: 'the mean of the same members', options },
  );
  return rows.map(({ row: { name, predictions }, choice }, i) => ({
    name,
    macroF1: brief(scoreIntervals(predictions, options).scores.macroF1),
    mean: brief(scoreIntervals(choice.mean, options).scores.macroF1),
    ...compared[i]!,
    choice: choice.words,
  }));
}

/** One sentence, or none if the members can be combined by their scores. */
function whyNothingIsChosen(split: ScoredSplit, hasFolds: boolean): string[] {
  if (split.split !== 'out-of-fold') {
    if (hasFolds)
      return [
        'Nothing is chosen on these scans. What a submission chooses is chosen on the out-of-fold scans and applied here.',
      ];
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
  const [mean, ...others] = tried as [Tried, ...Tried[]];
  const compared = comparedWithMean(
    others.map(({ name, predictions }) => ({ name, predictions, mean: mean.predictions })),
    { meanName: 'the mean', options },
  );
  return tried.map(({ name, predictions, choice, decisions }, i) => {
    const { scores } = scoreIntervals(predictions, options);
    return {
      name,
      macroF1: brief(scores.macroF1),
      logLoss: decisions ? null : brief(scores.logLoss),
      accuracy: brief(scores.accuracy),
      words: i === 0 ? null : compared[i - 1]!.words,
      choice,
    };
  });
}

/** Each row against its mean, with Holm's correction for all of them. */
function comparedWithMean(
  rows: readonly (Pick<ScoredRow, 'name' | 'predictions'> & { mean: Predictions })[],
  { meanName, options }: { meanName: string; options: EvaluationOptions },
): Pick<ChosenReport, 'difference' | 'p' | 'words'>[] {
  const pairs = rows.map(
    ({ name, predictions, mean }) =>
      compareRows(
        [
          { name, predictions },
          { name: meanName, predictions: mean },
        ],
        options,
      )[0]!,
  );
  const adjusted = holm(pairs.map(({ swapP }) => swapP ?? 1));
  return pairs.map((pair, i) => {
    const adjustedP = pair.swapP === null ? null : adjusted[i]!;
    const words = describeDifference({
      ...pair,
      adjustedP,
      correction: pairs.length > 1 ? 'Holm' : 'none',
      pairs: pairs.length,
      distinguishable: adjustedP !== null && adjustedP < 1 - pair.level,
    });
    return { difference: brief(pair.differences[pair.score]), p: adjustedP, words };
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
