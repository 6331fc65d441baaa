// Tables like those of the paper: the scores of every combination of members on the scans whose class is known.
import { UserError } from '@ct-ensemble/core';
import { scoresOf, type Scores } from './metrics.ts';
import { majorityClass, meanProbabilities, predictions, type Probabilities } from './probabilities.ts';

export interface EvaluatedMember {
  name: string;
  probabilities: Probabilities;
}

/** The scores of the mean of some members. */
export interface SubsetScores {
  /** Names of the members, in the order given. */
  subset: string[];
  scores: Scores;
}

/** A whole evaluation, as it is written to JSON. Scores are 0 … 1. */
export interface Evaluation {
  split: 'val' | 'test';
  classes: string[];
  /** Scans scored: all that have a label, failed ones included. */
  scans: number;
  /** Those among them that have no probabilities; see {@link evaluateSubsets}. */
  failed: { key: string; reason: string }[];
  /** Scans left out because their class is not known. */
  unlabelled: number;
  /** The best that answering one class for every scan can do. */
  constant: { class: string; scores: Scores };
  subsets: SubsetScores[];
}

/**
 * Scores of the mean of every non-empty subset of the members, by size, then in the order given; the last one is the
 * whole. With more than eight members: the single members, the pairs and the whole only.
 *
 * Scored are the scans with a label. One that failed is answered as a submission answers it, with the class that the
 * subset predicts most often (`majorityClass`), be that right or wrong.
 * @throws UserError when there is no member, two have one name, they disagree (see `meanProbabilities`), or no scan has
 * a label.
 */
export function evaluateSubsets(members: readonly EvaluatedMember[]): SubsetScores[] {
  if (members.length === 0) throw new UserError('There is no member to evaluate');
  const doubled = members.find(({ name }, i) => members.findIndex((other) => other.name === name) < i);
  if (doubled !== undefined) throw new UserError(`Two members are named ${doubled.name}`);
  return subsetsOf(members).map((subset) => {
    const names = subset.map((member) => member.name);
    const mean = meanProbabilities(
      subset.map((member) => member.probabilities),
      names,
    );
    const { truth, predicted } = answers(mean);
    return { subset: names, scores: scoresOf(truth, predicted, mean.classes.length) };
  });
}

/** {@link evaluateSubsets}, and what its numbers are to be held against. */
export function evaluate(members: readonly EvaluatedMember[]): Evaluation {
  const subsets = evaluateSubsets(members);
  const first = members[0]!.probabilities;
  const { truth } = answers(first);
  const constants = first.classes.map((name, label) => ({
    class: name,
    scores: scoresOf(
      truth,
      truth.map(() => label),
      first.classes.length,
    ),
  }));
  return {
    split: first.split,
    classes: [...first.classes],
    scans: truth.length,
    failed: first.failed.filter(isLabelled).map(({ key, reason }) => ({ key, reason })),
    unlabelled: first.scans.length + first.failed.length - truth.length,
    constant: constants.reduce((best, next) => (next.scores.macroF1 > best.scores.macroF1 ? next : best)),
    subsets,
  };
}

/** The evaluation as plain text: one table, in percent, and the confusion matrix of the whole ensemble. */
export function renderEvaluation(evaluation: Evaluation): string {
  const { split, classes, scans, failed, unlabelled, constant, subsets } = evaluation;
  const row = (name: string, { macroF1, f1, accuracy }: Scores) => [
    name,
    ...[macroF1, ...f1, accuracy].map(percent),
  ];
  const whole = subsets.at(-1)!;
  const about = [
    `${scans} scans of split ${split}, scores in %.`,
    ...(unlabelled > 0 ? [`${unlabelled} more are left out: their class is not known.`] : []),
    ...(failed.length > 0
      ? [`${failed.length} of them failed and count as the class predicted most often:`]
      : []),
    ...failed.map(({ key, reason }) => `  ${key}: ${reason}`),
  ];
  const scores = table([
    ['members', 'macro F1', ...classes.map((name) => `F1 ${name}`), 'accuracy'],
    ...subsets.map(({ subset, scores }) => row(subset.join(' + '), scores)),
    row(`always ${constant.class}`, constant.scores),
  ]);
  const matrix = table([
    ['', ...classes],
    ...whole.scores.matrix.map((counts, label) => [classes[label]!, ...counts.map(String)]),
  ]);
  const title = `Confusion matrix of ${whole.subset.join(' + ')} (rows: truth, columns: prediction)`;
  return `${[about.join('\n'), scores, `${title}\n${matrix}`].join('\n\n')}\n`;
}

function subsetsOf<T>(members: readonly T[]): T[][] {
  const sizes = members.length <= 8 ? members.map((_, i) => i + 1) : [1, 2, members.length];
  return sizes.flatMap((size) => combinations(members, size));
}

/** All choices of `size` items, in lexicographic order of their positions. */
function combinations<T>(items: readonly T[], size: number): T[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, i) =>
    combinations(items.slice(i + 1), size - 1).map((rest) => [item, ...rest]),
  );
}

const isLabelled = (scan: { label: number | null }) => scan.label !== null;

/** Truth and answer of every scan with a label, the failed ones last. */
function answers(p: Probabilities): { truth: number[]; predicted: number[] } {
  const predicted = [...predictions(p), ...p.failed.map(() => majorityClass(p))];
  const pairs = [...p.scans, ...p.failed].flatMap(({ label }, i) =>
    label === null ? [] : [{ label, answer: predicted[i]! }],
  );
  if (pairs.length === 0) {
    throw new UserError(`No scan of split ${p.split} has a known class`, {
      remedy: 'evaluate on a split with labels',
    });
  }
  return { truth: pairs.map((pair) => pair.label), predicted: pairs.map((pair) => pair.answer) };
}

const percent = (score: number) => (100 * score).toFixed(2);

/** Aligned columns: the first to the left, the others to the right. */
function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row.map((cell, c) => (c === 0 ? cell.padEnd(widths[c]!) : cell.padStart(widths[c]!))).join('  '),
    )
    .join('\n');
}
