// The results of a run: its members' probabilities, checked against the run's scans, scored, submitted and written as tables.
import { UserError, writeFileAtomic } from '@ct-ensemble/core';
import { evaluate, type EvaluatedMember, type Evaluation } from './evaluation.ts';
import { findingsIn, readMembers, type RunMembers, type Split, type UnusableMember } from './members.ts';
import { type Plan, readPlan } from '../run/plan.ts';
import { meanProbabilities, type Probabilities } from './probabilities.ts';
import { predictionsTable } from './predictions.ts';
import { predictionsFile, submissionFolder } from '../run-folder.ts';
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
  val: Evaluation;
  test: Evaluation | null;
  /** Members that are not done and so not scored. */
  missing: string[];
  /** Members that are done, but cannot be scored: a file is missing, damaged or not of this run's scans. */
  unusable: UnusableMember[];
  /** Submissions of the recipe that are not scored, each with its members that are missing or unusable. */
  notScored: { submission: string; members: string[] }[];
  /** What suggests that a file is not the member's own, one line each. */
  findings: string[];
}

/** @throws UserError when there is no run, its list of scans is not consistent, or no member can be scored. */
export async function evaluateRun(run: string): Promise<RunEvaluation> {
  const plan = await readPlan(run);
  const scans = await readRunScans(run, plan);
  const { usable, missing, unusable } = await readMembers(run, plan, { scans, splits: ['val', 'test'] });
  if (usable.length === 0) throw nothingToScore(run, unusable);
  const ofSplit = (split: Split): EvaluatedMember[] =>
    usable.map(({ name, probabilities }) => ({ name, probabilities: probabilities[split]! }));
  const isUsable = (name: string) => usable.some((member) => member.name === name);
  const { submissions } = plan.recipe;
  const scored = submissions.filter(({ members }) => members.every(isUsable));
  const test = ofSplit('test');
  const { scans: predicted, failed } = test[0]!.probabilities;
  const hasClasses = [...predicted, ...failed].some(({ label }) => label !== null);
  return {
    run,
    recipe: plan.recipe.name,
    val: evaluate(ofSplit('val'), scored),
    test: hasClasses ? evaluate(test, scored) : null,
    missing,
    unusable,
    notScored: submissions
      .filter((submission) => !scored.includes(submission))
      .map(({ name, members }) => ({
        submission: name,
        members: members.filter((member) => !isUsable(member)),
      })),
    findings: findingsIn(usable),
  };
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
  /** One line for each scan that has no probabilities and was put into a class all the same. */
  failed: string[];
}

export interface RunSubmission {
  /** `val` if the data set has no test scans. */
  split: Split;
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
 * Writes the recipe's submissions: the mean of the members' probabilities, one CSV file a class, every scan of the run
 * exactly once; and for each a table of the probabilities. A submission whose members are not all done and usable is not
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
  const members = await readMembers(run, plan, { scans, splits: [split] });
  const planned = plan.recipe.submissions.map((each) => prepared(run, each, { plan, scans, members }));
  const ready = planned.filter((each) => 'submission' in each);
  const submissions = planned.map(({ result }) => result);
  const unknownFiles = await updateSubmissions({
    run,
    wanted: ready.map(({ result }) => ({
      name: result.name,
      files: [...result.files, predictionsFile(run, result.name)],
    })),
    recipe: { submissions: submissions.map(({ name }) => name), classes },
    async write() {
      for (const { result, submission, mean, expected } of ready) {
        await writeSubmission(submissionFolder(run, result.name), submission, expected);
        await writeFileAtomic(predictionsFile(run, result.name), predictionsTable(mean));
      }
    },
    summary: { split, submissions },
  });
  const { usable, unusable } = members;
  return { split, submissions, unusable, findings: findingsIn(usable), unknownFiles };
}

/** What a submission of the recipe will be; only its result if it cannot be written. */
function prepared(
  run: string,
  { name, members: names }: Plan['recipe']['submissions'][number],
  { plan, scans, members }: { plan: Plan; scans: RunScans; members: RunMembers },
): ReadySubmission | { result: SubmissionResult } {
  const missing = names.filter((member) => members.missing.includes(member));
  const unusable = names.filter((member) => members.unusable.some((other) => other.member === member));
  const nothing = { files: [], predictions: null, counts: {}, failed: [] };
  if (missing.length + unusable.length > 0)
    return { result: { name, members: names, ...nothing, missing, unusable } };
  const parts = names.map(
    (member) => members.usable.find((other) => other.name === member)!.probabilities[scans.splitToSubmit]!,
  );
  const mean = meanProbabilities(parts, names);
  const submission = makeSubmission(mean);
  const { classes } = plan.dataset;
  const ofRun = scans.of(names[0]!, scans.splitToSubmit);
  const expected = { classes, scans: [...ofRun.scans, ...ofRun.failed].map((scan) => scan.name) };
  checkSubmission(submission, expected);
  const result: SubmissionResult = {
    name,
    members: names,
    files: classFiles(submissionFolder(run, name), classes),
    predictions: predictionsFile(run, name),
    counts: Object.fromEntries(Object.entries(submission).map(([label, scans]) => [label, scans.length])),
    missing,
    unusable,
    failed: failedReport(mean),
  };
  return { result, submission, mean, expected };
}
