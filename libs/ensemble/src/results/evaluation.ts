// The scores of every combination of members, and of the recipe's submissions, on the scans whose class is known.
import { UserError } from '@ct-ensemble/core';
import { answerScores, type AnswerScores } from '@ct-ensemble/evaluation';
import { majorityClass, meanProbabilities, predictions, type Probabilities } from './probabilities.ts';

export interface EvaluatedMember {
  name: string;
  probabilities: Probabilities;
}

/** A submission of the recipe. */
export interface NamedSubset {
  name: string;
  members: readonly string[];
}

/** The scores of the mean of some members. */
export interface SubsetScores {
  /** Names of the members, in the order given, or of the submission. */
  subset: string[];
  /** Names of the recipe's submissions that are this mean. */
  submissions: string[];
  scores: AnswerScores;
  /**
   * The scores of the scans that have probabilities, as training computes the macro F1 of its epochs; null if no scan
   * failed, for then `scores` are the same, or if all did.
   */
  withoutFailed: AnswerScores | null;
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
  constant: { class: string; scores: AnswerScores };
  /** Names of the submissions, in the recipe's order; each is one of `subsets`. */
  submissions: string[];
  subsets: SubsetScores[];
}

/**
 * Scores of the mean of every non-empty subset of the members, by size, then in the order given; the last one is the
 * whole. With more than eight members: the single members, up to 40 members the pairs, the submissions and the whole only. Every submission
 * has an entry, whatever the number of members; its members are averaged in its own order, as when it is written.
 *
 * Scored are the scans with a label. One that failed is answered as a submission answers it, with the class that the
 * subset predicts most often (`majorityClass`), be that right or wrong.
 * @throws UserError when there is no member, two have one name, they disagree (see `meanProbabilities`), or no scan has
 * a label.
 */
export function evaluateSubsets(
  members: readonly EvaluatedMember[],
  submissions: readonly NamedSubset[] = [],
): SubsetScores[] {
  if (members.length === 0) throw new UserError('There is no member to evaluate');
  const doubled = members.find(({ name }, i) => members.findIndex((other) => other.name === name) < i);
  if (doubled !== undefined) throw new UserError(`Two members are named ${doubled.name}`);
  const probabilitiesOf = new Map(members.map(({ name, probabilities }) => [name, probabilities]));
  return namedSubsets(
    members.map(({ name }) => name),
    submissions,
  ).map((each) => {
    const mean = meanProbabilities(
      each.subset.map((name) => {
        const probabilities = probabilitiesOf.get(name);
        if (probabilities !== undefined) return probabilities;
        throw new UserError(`The submission ${each.submissions.join()} names ${name}, which is no member`);
      }),
      each.subset,
    );
    const { truth, predicted, counted } = answers(mean);
    const classes = mean.classes.length;
    const some = counted > 0 && counted < truth.length;
    return {
      ...each,
      scores: answerScores(truth, predicted, classes),
      withoutFailed: some
        ? answerScores(truth.slice(0, counted), predicted.slice(0, counted), classes)
        : null,
    };
  });
}

/** The subsets to score, each with the submissions that it is; those of submissions alone come before the whole. */
function namedSubsets(names: readonly string[], submissions: readonly NamedSubset[]) {
  const subsets = subsetsOf(names).map((subset) => ({ subset, submissions: [] as string[] }));
  const whole = subsets.pop()!;
  for (const { name, members } of submissions) {
    const same = [...subsets, whole].find(({ subset }) => subset.join('\n') === members.join('\n'));
    if (same) same.submissions.push(name);
    else subsets.push({ subset: [...members], submissions: [name] });
  }
  return [...subsets, whole];
}

/** The best that answering one class for every scan can do. */
export function bestConstant(truth: readonly number[], classes: readonly string[]): Evaluation['constant'] {
  const constants = classes.map((name, label) => ({
    class: name,
    scores: answerScores(
      truth,
      truth.map(() => label),
      classes.length,
    ),
  }));
  return constants.reduce((best, next) => (next.scores.macroF1 > best.scores.macroF1 ? next : best));
}

/** {@link evaluateSubsets}, and what its numbers are to be held against. */
export function evaluate(
  members: readonly EvaluatedMember[],
  submissions: readonly NamedSubset[] = [],
): Evaluation {
  const subsets = evaluateSubsets(members, submissions);
  const first = members[0]!.probabilities;
  const { truth } = answers(first);
  return {
    split: first.split,
    classes: [...first.classes],
    scans: truth.length,
    failed: first.failed.filter(isLabelled).map(({ key, reason }) => ({ key, reason })),
    unlabelled: first.scans.length + first.failed.length - truth.length,
    constant: bestConstant(truth, first.classes),
    submissions: submissions.map(({ name }) => name),
    subsets,
  };
}

/** With more members no pairs are scored: of 200 members there are 19,900. */
const MOST_IN_PAIRS = 40;

function subsetsOf<T>(members: readonly T[]): T[][] {
  const { length } = members;
  const sizes =
    length <= 8 ? members.map((_, i) => i + 1) : length <= MOST_IN_PAIRS ? [1, 2, length] : [1, length];
  return sizes.flatMap((size) => combinations(members, size));
}

/** All choices of `size` items, in lexicographic order of their positions. */
function combinations<T>(items: readonly T[], size: number): T[][] {
  if (size === 0) return [[]];
  if (size > items.length) return []; // Without this, all of 30 items take 2^30 calls.
  return items.flatMap((item, i) =>
    combinations(items.slice(i + 1), size - 1).map((rest) => [item, ...rest]),
  );
}

const isLabelled = (scan: { label: number | null }) => scan.label !== null;

/** Truth and answer of every scan with a label, the failed ones last; the first `counted` have probabilities. */
export function answers(p: Probabilities): { truth: number[]; predicted: number[]; counted: number } {
  const predicted = [...predictions(p), ...p.failed.map(() => majorityClass(p))];
  const pairs = [...p.scans, ...p.failed].flatMap(({ label }, i) =>
    label === null ? [] : [{ label, answer: predicted[i]! }],
  );
  if (pairs.length === 0) {
    throw new UserError(`No scan of split ${p.split} has a known class`, {
      remedy: 'evaluate on a split with labels',
    });
  }
  return {
    truth: pairs.map((pair) => pair.label),
    predicted: pairs.map((pair) => pair.answer),
    counted: p.scans.filter(isLabelled).length,
  };
}
