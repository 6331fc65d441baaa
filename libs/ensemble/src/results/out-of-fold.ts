// Out-of-fold probabilities and their scores: every scan is answered by members that were not trained on it.
import { UserError } from '@ct-ensemble/core';
import { isChosen } from '../recipes/schema.ts';
import type { MemberPlan, Plan } from '../run/plan.ts';
import { answers, bestConstant, type Evaluation, type NamedSubset } from './evaluation.ts';
import { answerScores, type AnswerScores } from '@ct-ensemble/evaluation';
import type { UsableMember } from './members.ts';
import { meanProbabilities, type Probabilities } from './probabilities.ts';
import type { FoldedScan } from './run-scans.ts';

/** A member of a fold with its probabilities for the scans of this fold. */
export interface FoldedMember {
  name: string;
  fold: number;
  probabilities: Probabilities;
}

/** The out-of-fold scores of a group, a submission or the ensemble. */
export interface OutOfFoldScores {
  /** A group's name, such as `densenet161-seed1`, the submission's, or `ensemble`. */
  name: string;
  /** Its members that are scored. */
  members: string[];
  /** Folds that they cover, in order. */
  folds: number[];
  /** Scans scored: those with a label in these folds, failed ones included. */
  scans: number;
  /** Of all these scans together. */
  pooled: AnswerScores;
  /** The macro F1 of each of `folds`. */
  foldMacroF1: number[];
  meanMacroF1: number;
  /** Standard deviation of `foldMacroF1` between folds, with n − 1; null for a single fold. */
  sdMacroF1: number | null;
}

export interface OutOfFold {
  /** Number of folds. */
  folds: number;
  classes: string[];
  /** Scans in folds: the labelled scans for training and validation. */
  scans: number;
  /** Those among them that failed and count as the class predicted most often, as in a submission. */
  failed: { key: string; reason: string }[];
  /** The best that answering one class for every scan can do, on the scans of the ensemble's folds. */
  constant: Evaluation['constant'];
  /** Members that differ in nothing but their folds, together. */
  groups: OutOfFoldScores[];
  /** The recipe's submissions that are means, and neither of a single group nor of all members. */
  submissions: OutOfFoldScores[];
  /** The mean of all groups; of each scan the mean of the members of its fold. */
  ensemble: OutOfFoldScores;
  /** Members that are not scored, because they are not done or cannot be used. */
  missing: string[];
  /** Folds none of whose members is scored, with their numbers of scans: these scans have no out-of-fold probabilities. */
  uncovered: { fold: number; scans: number }[];
}

/** A set of members that differ in nothing but their folds. */
interface Group {
  name: string;
  members: MemberPlan[];
}

/** The plan's members by architecture, start, seed and mask, in the plan's order. */
export function groupsOf({ members, recipe }: Pick<Plan, 'members' | 'recipe'>): Group[] {
  const masks = new Map(recipe.members.map(({ name, mask }) => [name, mask ?? null]));
  const groups = new Map<string, MemberPlan[]>();
  for (const member of members) {
    const { name, architecture, seed, pretrained } = member;
    const key = JSON.stringify([architecture, seed, pretrained, masks.get(name)]);
    groups.set(key, [...(groups.get(key) ?? []), member]);
  }
  return [...groups.values()].map((members) => ({ name: nameOf(members), members }));
}

/** What the members' names have before `-fold1` and so on; where they are named otherwise, all names. */
function nameOf(members: readonly MemberPlan[]): string {
  const bases = new Set(members.map(({ name, fold }) => name.replace(new RegExp(`[-_.]?fold${fold}$`), '')));
  const [base] = bases;
  return bases.size === 1 && base !== '' ? base! : members.map(({ name }) => name).join(' + ');
}

/** Members of folds with their folds, which the plan names, and the probabilities of these. */
export function foldedMembers(
  plan: Pick<Plan, 'members'>,
  usable: readonly Pick<UsableMember, 'name' | 'probabilities'>[],
): FoldedMember[] {
  const folds = new Map(plan.members.map(({ name, fold }) => [name, fold!]));
  return usable.map(({ name, probabilities }) => ({
    name,
    fold: folds.get(name)!,
    probabilities: probabilities.val!,
  }));
}

/**
 * The out-of-fold probabilities of some members, as one list: of each scan the mean of those that were validated on its fold.
 * Scans are in the run's order; those of folds that no member covers are left out.
 * @throws UserError if the members of a fold disagree (see `meanProbabilities`), or there is no member.
 */
export function outOfFold(members: readonly FoldedMember[], scans: readonly FoldedScan[]): Probabilities {
  const [first] = members;
  if (first === undefined) throw new UserError('Out-of-fold probabilities need at least one member');
  const means = foldsIn(members).map((fold) => meanOfFold(members, fold));
  const order = new Map(scans.map(({ key, name }, i) => [key, { name, i }]));
  const inOrder = <Scan extends { key: string; name: string }>(items: Scan[]) =>
    items
      .map((item) => ({ ...item, name: order.get(item.key)?.name ?? item.name }))
      .sort((a, b) => order.get(a.key)!.i - order.get(b.key)!.i);
  const rows = inOrder(
    means.flatMap((mean) => mean.scans.map((scan, i) => ({ ...scan, row: mean.rows[i]! }))),
  );
  return {
    classes: [...first.probabilities.classes],
    split: 'val',
    scans: rows.map(({ key, name, label }) => ({ key, name, label })),
    rows: rows.map(({ row }) => row),
    failed: inOrder(means.flatMap(({ failed }) => failed)),
  };
}

const foldsIn = (members: readonly FoldedMember[]) =>
  [...new Set(members.map(({ fold }) => fold))].sort((a, b) => a - b);

function meanOfFold(members: readonly FoldedMember[], fold: number): Probabilities {
  const own = members.filter((member) => member.fold === fold);
  return meanProbabilities(
    own.map(({ probabilities }) => probabilities),
    own.map(({ name }) => name),
  );
}

/**
 * AnswerScores the out-of-fold probabilities of every group, of the recipe's submissions and of the ensemble.
 * @throws UserError if no member is usable, or members of a fold disagree.
 */
export function evaluateOutOfFold(
  plan: Pick<Plan, 'members' | 'recipe'>,
  { members, scans }: { members: readonly FoldedMember[]; scans: readonly FoldedScan[] },
): OutOfFold {
  const usable = new Map(members.map((member) => [member.name, member]));
  const among = (names: readonly string[]) => names.flatMap((name) => usable.get(name) ?? []);
  const groups = groupsOf(plan).map(({ name, members }) => ({
    name,
    members: members.map(({ name }) => name),
  }));
  const all = outOfFold(members, scans);
  const ensemble = scoresOfMembers('ensemble', members, scans);
  const sameSet = (a: readonly string[], b: readonly string[]) =>
    a.length === b.length && a.every((name) => b.includes(name));
  const known = [plan.members.map(({ name }) => name), ...groups.map(({ members }) => members)];
  const others = plan.recipe.submissions.filter(
    (submission) => !isChosen(submission) && !known.some((names) => sameSet(names, submission.members)),
  );
  const scored = (sets: readonly NamedSubset[]) =>
    sets.flatMap(({ name, members }) => {
      const own = among(members);
      return own.length === 0 ? [] : [scoresOfMembers(name, own, scans)];
    });
  const folds = plan.recipe.folds!;
  return {
    folds,
    classes: all.classes,
    scans: scans.length,
    failed: all.failed.map(({ key, reason }) => ({ key, reason })),
    constant: bestConstant(answers(all).truth, all.classes),
    groups: scored(groups),
    submissions: scored(others),
    ensemble,
    missing: plan.members.map(({ name }) => name).filter((name) => !usable.has(name)),
    uncovered: Array.from({ length: folds }, (_, f) => f + 1)
      .filter((fold) => !ensemble.folds.includes(fold))
      .map((fold) => ({ fold, scans: scans.filter((scan) => scan.fold === fold).length })),
  };
}

function scoresOfMembers(
  name: string,
  members: readonly FoldedMember[],
  scans: readonly FoldedScan[],
): OutOfFoldScores {
  const folds = foldsIn(members);
  const pooled = scoresOfAnswers(outOfFold(members, scans));
  const foldMacroF1 = folds.map((fold) => scoresOfAnswers(meanOfFold(members, fold)).macroF1);
  const mean = foldMacroF1.reduce((sum, score) => sum + score, 0) / folds.length;
  const squares = foldMacroF1.reduce((sum, score) => sum + (score - mean) ** 2, 0);
  return {
    name,
    members: members.map((member) => member.name),
    folds,
    scans: pooled.matrix.flat().reduce((sum, count) => sum + count, 0),
    pooled,
    foldMacroF1,
    meanMacroF1: mean,
    sdMacroF1: folds.length === 1 ? null : Math.sqrt(squares / (folds.length - 1)),
  };
}

/** Scores of the scans whose class is known; failed ones count as the class predicted most often. */
export function scoresOfAnswers(p: Probabilities): AnswerScores {
  const { truth, predicted } = answers(p);
  return answerScores(truth, predicted, p.classes.length);
}
