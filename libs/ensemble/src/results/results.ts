// The results of a run: its members' probabilities, checked against the run's scans, scored, submitted and written as tables.
import { UserError, writeFileAtomic } from '@ct-ensemble/core';
import { mapConcurrent } from '@ct-ensemble/data';
import {
  type ChosenCombination,
  type ChosenSubmissions,
  chosenSubmissions,
  combinationOf,
  type CombinationScores,
  scoresOfCombination,
} from './combination.ts';
import { evaluate, type EvaluatedMember, type Evaluation } from './evaluation.ts';
import { findingsIn, readMembers, type RunMembers, type Split, type UnusableMember } from './members.ts';
import {
  evaluateOutOfFold,
  type FoldedMember,
  foldedMembers,
  type OutOfFold,
  outOfFold,
} from './out-of-fold.ts';
import { isChosen } from '../recipes/schema.ts';
import { isFolded } from '../run/folds.ts';
import { type Plan, readPlan } from '../run/plan.ts';
import { meanProbabilities, type Probabilities } from './probabilities.ts';
import { predictionsTable } from './predictions.ts';
import { OUT_OF_FOLD, predictionsFile, submissionFolder } from '../run-folder.ts';
import { readFailed } from '../run-status.ts';
import type { RunResults } from './run-results.ts';
import { readRunScans, type RunScans } from './run-scans.ts';
import { updateSubmissions } from './submission-folder.ts';
import {
  checkSubmission,
  classFiles,
  type Expected,
  failedReport,
  makeSubmission,
  type Submission,
  writeSubmission,
} from './submission.ts';

/** Scores of every member and subset on the validation scans, and on the test scans if their classes are known. */
export interface RunEvaluation {
  run: string;
  recipe: string;
  /** Null if members are trained by fold: see `outOfFold`. */
  val: Evaluation | null;
  /** Null if members are not trained by fold. */
  outOfFold: OutOfFold | null;
  test: Evaluation | null;
  /** The submissions that choose weights, a temperature or a threshold and whose members can all be used. */
  combinations: CombinationScores[];
  /** Members that are not done and so not scored. */
  missing: string[];
  /** Those among them whose training failed last, and why. */
  failures: { member: string; reason: string }[];
  /** Members that are done, but cannot be scored: a file is missing, damaged or not of this run's scans. */
  unusable: UnusableMember[];
  /**
   * Submissions of the recipe that are not in `val` and `test`, each with its members that are missing or unusable. In
   * `outOfFold` they are scored with the members that there are.
   */
  notScored: { submission: string; members: string[] }[];
  /** What suggests that a file is not the member's own, one line each. */
  findings: string[];
}

/** @throws UserError when there is no run, its list of scans is not consistent, or no member can be scored. */
export async function evaluateRun(run: string): Promise<RunEvaluation> {
  const plan = await readPlan(run);
  const scans = await readRunScans(run, plan);
  const members = await readMembers(run, plan, { scans, splits: ['val', 'test'] });
  return evaluateResults(run, { plan, scans, members });
}

/** As `evaluateRun`, of a run whose probabilities of both splits have been read. `chosen` saves making the choices again. */
export async function evaluateResults(
  run: string,
  results: Pick<RunResults, 'plan' | 'scans' | 'members'>,
  chosen: ChosenSubmissions = chosenSubmissions(results),
): Promise<RunEvaluation> {
  const { plan, scans, members } = results;
  const { usable, missing, unusable } = members;
  if (usable.length === 0) throw nothingToScore(run, unusable);
  const ofSplit = (split: Split): EvaluatedMember[] =>
    usable.map(({ name, probabilities }) => ({ name, probabilities: probabilities[split]! }));
  const isUsable = (name: string) => usable.some((member) => member.name === name);
  const { submissions } = plan.recipe;
  const scored = submissions.filter(({ members }) => members.every(isUsable));
  const test = ofSplit('test');
  const { scans: predicted, failed } = test[0]!.probabilities;
  const hasClasses = [...predicted, ...failed].some(({ label }) => label !== null);
  const hasFolds = isFolded(plan.recipe);
  const means = scored.filter((submission) => !isChosen(submission));
  const combinations = chosen.submissions.map(({ name, members: own, combination }) => {
    const parts = test.filter((member) => own.includes(member.name));
    return scoresOfCombination(name, combination, hasClasses ? combination.apply(parts) : null);
  });
  return {
    run,
    recipe: plan.recipe.name,
    val: hasFolds ? null : evaluate(ofSplit('val'), means),
    outOfFold: hasFolds
      ? evaluateOutOfFold(plan, { members: foldedMembers(plan, usable), scans: scans.inFolds })
      : null,
    test: hasClasses ? evaluate(test, means) : null,
    combinations,
    missing,
    failures: await failuresOf(run, missing),
    unusable,
    notScored: (hasFolds && !hasClasses ? [] : submissions)
      .filter((submission) => !scored.includes(submission))
      .map(({ name, members }) => ({
        submission: name,
        members: members.filter((member) => !isUsable(member)),
      })),
    findings: [...findingsIn(usable), ...chosen.problems],
  };
}

async function failuresOf(run: string, members: readonly string[]): Promise<RunEvaluation['failures']> {
  const failures = await mapConcurrent(members, 16, async (member) => {
    // A failed.json that cannot be read is no reason to score nothing.
    const reason = (await readFailed(run, member).catch(() => undefined))?.reason;
    return reason === undefined ? [] : [{ member, reason }];
  });
  return failures.flat();
}

function nothingToScore(run: string, unusable: readonly UnusableMember[]): UserError {
  const [first, ...others] = unusable;
  if (first === undefined) {
    return new UserError('no member of this run is done', {
      file: run,
      remedy: 'train it with nx run trainer:all-members',
    });
  }
  if (others.length === 0) return new UserError(first.problem);
  const names = others.map(({ member }) => member).join(', ');
  return new UserError(`${first.problem}; the members ${names} cannot be used either`);
}

export interface SubmissionResult {
  name: string;
  members: string[];
  /** What the submission has chosen; absent if it is the plain mean, or not written. */
  combination?: ChosenCombination;
  /** The files written; empty when a member is missing. */
  files: string[];
  /** The table of probabilities and predicted classes; null when a member is missing. */
  predictions: string | null;
  /** Scans in each class. */
  counts: Record<string, number>;
  /** Members that are not done: nothing was written. */
  missing: string[];
  /** Members that are done, but whose probabilities cannot be used: nothing was written. */
  unusable: string[];
  /**
   * Without test scans a submission of members of folds names the scans of all folds. Folds that none of its members was
   * validated on: nothing was written.
   */
  uncoveredFolds: number[];
  /** One line for each scan that has no probabilities and was put into a class all the same. */
  failed: string[];
}

export interface RunSubmission {
  /** `val` if the data set has no test scans. */
  split: Split;
  /** The table of out-of-fold probabilities of all members that can be used; null if members are not trained by fold. */
  outOfFold: string | null;
  submissions: SubmissionResult[];
  /** Members of the recipe that are done, but cannot be used. */
  unusable: UnusableMember[];
  /** What suggests that a file is not the member's own, one line each. */
  findings: string[];
  /** Files in submissions/ and predictions/ that this program has not written; they were left in place. */
  unknownFiles: string[];
}

/** A submission that can be written: checked, with the run's scan names. */
interface ReadySubmission {
  result: SubmissionResult;
  submission: Submission;
  mean: Probabilities;
  expected: Expected;
}

/**
 * Writes the recipe's submissions: the mean of the members' probabilities, or what the recipe chooses in its place, one CSV file a class, every scan of the run
 * exactly once; and for each a table of the probabilities. Where members are trained by fold, there is also a table of their
 * out-of-fold probabilities, and without test scans the submissions name the scans of all folds and are made of these. A submission whose members are not all done and usable is not
 * written, and the result says so. Afterwards the folders hold these files and none of an earlier submission.
 *
 * @throws UserError when there is no run, its list of scans is not consistent, or a submission would be invalid; then no
 * file is changed.
 */
export async function submitRun(run: string): Promise<RunSubmission> {
  const plan = await readPlan(run);
  const { classes } = plan.dataset;
  const scans = await readRunScans(run, plan);
  const split = scans.splitToSubmit;
  const hasFolds = isFolded(plan.recipe);
  const splits: Split[] = hasFolds && split === 'test' ? ['val', 'test'] : [split];
  const members = await readMembers(run, plan, { scans, splits });
  const planned = plan.recipe.submissions.map((each) => prepared(run, each, { plan, scans, members }));
  const ready = planned.filter((each) => 'submission' in each);
  const submissions = planned.map(({ result }) => result);
  const folded = hasFolds ? foldedMembers(plan, members.usable) : [];
  const table = folded.length > 0 ? predictionsFile(run, OUT_OF_FOLD) : null;
  const unknownFiles = await updateSubmissions({
    run,
    wanted: [
      ...ready.map(({ result }) => ({
        name: result.name,
        files: [...result.files, predictionsFile(run, result.name)],
      })),
      ...(table === null ? [] : [{ name: OUT_OF_FOLD, files: [table] }]),
    ],
    recipe: {
      submissions: [...submissions.map(({ name }) => name), ...(hasFolds ? [OUT_OF_FOLD] : [])],
      classes,
    },
    async write() {
      for (const { result, submission, mean, expected } of ready) {
        await writeSubmission(submissionFolder(run, result.name), submission, expected);
        await writeFileAtomic(predictionsFile(run, result.name), predictionsTable(mean));
      }
      if (table !== null) await writeFileAtomic(table, outOfFoldTable(folded, scans));
    },
    summary: { split, submissions },
  });
  const { usable, unusable } = members;
  return { split, outOfFold: table, submissions, unusable, findings: findingsIn(usable), unknownFiles };
}

/** The table of out-of-fold probabilities: as a submission's, with the scan's fold in the place of the split. */
function outOfFoldTable(members: readonly FoldedMember[], { inFolds }: RunScans): string {
  const folds = new Map(inFolds.map(({ key, fold }) => [key, String(fold)]));
  return predictionsTable(outOfFold(members, inFolds), { title: 'fold', of: (key) => folds.get(key)! });
}

/** The classes and scans that every submission of the run must name, as `submitRun` writes them. @throws UserError if there is no run. */
export async function expectedInRun(run: string): Promise<Expected> {
  const plan = await readPlan(run);
  const scans = await readRunScans(run, plan);
  return expectedOf(plan, scans);
}

function expectedOf(plan: Plan, scans: RunScans): Expected {
  const { splitToSubmit, inFolds } = scans;
  const ofRun = scans.of(plan.members[0]!.name, splitToSubmit);
  const listed =
    splitToSubmit === 'val' && isFolded(plan.recipe) ? inFolds : [...ofRun.scans, ...ofRun.failed];
  return { classes: plan.dataset.classes, scans: listed.map((scan) => scan.name) };
}

/** What a submission of the recipe will be; only its result if it cannot be written. */
function prepared(
  run: string,
  recipe: Plan['recipe']['submissions'][number],
  { plan, scans, members }: { plan: Plan; scans: RunScans; members: RunMembers },
): ReadySubmission | { result: SubmissionResult } {
  const { name, members: names } = recipe;
  const missing = names.filter((member) => members.missing.includes(member));
  const unusable = names.filter((member) => members.unusable.some((other) => other.member === member));
  const nothing = { files: [], predictions: null, counts: {}, failed: [] };
  const { splitToSubmit, inFolds } = scans;
  const isOutOfFold = splitToSubmit === 'val' && isFolded(plan.recipe);
  const folds = plan.members.filter((member) => names.includes(member.name)).map(({ fold }) => fold);
  const uncoveredFolds = isOutOfFold
    ? [...new Set(inFolds.map(({ fold }) => fold))]
        .filter((fold) => !folds.includes(fold))
        .sort((a, b) => a - b)
    : [];
  if (missing.length + unusable.length + uncoveredFolds.length > 0)
    return { result: { name, members: names, ...nothing, missing, unusable, uncoveredFolds } };
  const parts = names.map((member) => members.usable.find((other) => other.name === member)!);
  const parted = () =>
    parts.map((part) => ({ name: part.name, probabilities: part.probabilities[splitToSubmit]! }));
  const chosen = isChosen(recipe) ? combinationOf(recipe, { plan, scans, usable: parts }) : null;
  const mean = chosen
    ? isOutOfFold
      ? chosen.nested
      : chosen.apply(parted())
    : isOutOfFold
      ? outOfFold(foldedMembers(plan, parts), inFolds)
      : meanProbabilities(
          parted().map(({ probabilities }) => probabilities),
          names,
        );
  const submission = makeSubmission(mean);
  const { classes } = plan.dataset;
  const expected = expectedOf(plan, scans);
  checkSubmission(submission, expected);
  const result: SubmissionResult = {
    name,
    members: names,
    ...(chosen && { combination: chosen.choice }),
    files: classFiles(submissionFolder(run, name), classes),
    predictions: predictionsFile(run, name),
    counts: Object.fromEntries(Object.entries(submission).map(([label, scans]) => [label, scans.length])),
    missing,
    unusable,
    uncoveredFolds,
    failed: failedReport(mean),
  };
  return { result, submission, mean, expected };
}
