// The results of a run: its members' probabilities, scored, submitted and written as tables.
import { UserError, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import { join } from 'node:path';
import { evaluate, type Evaluation } from './evaluation.ts';
import { type Plan, readPlan } from '../run/plan.ts';
import { meanProbabilities, type Probabilities, readProbabilities } from './probabilities.ts';
import { predictionsTable } from './predictions.ts';
import { predictionsFile, probabilitiesFile, submissionFolder } from '../run-folder.ts';
import { readDone } from '../run-records.ts';
import { failedReport, makeSubmission, writeSubmission } from './submission.ts';

/** Scores of every member and subset on the validation scans, and on the test scans if their classes are known. */
export interface RunEvaluation {
  run: string;
  recipe: string;
  val: Evaluation;
  test: Evaluation | null;
  /** Members that are not done and so not scored. */
  missing: string[];
}

/** @throws UserError when there is no run, or no member is done. */
export async function evaluateRun(run: string): Promise<RunEvaluation> {
  const plan = await readPlan(run);
  const { done, missing } = await membersOf(run, plan);
  if (done.length === 0) {
    throw new UserError('no member of this run is done', {
      file: run,
      remedy: 'train it with nx run trainer:all-members',
    });
  }
  const ofSplit = (split: 'val' | 'test') =>
    Promise.all(
      done.map(async (name) => ({
        name,
        probabilities: await readProbabilities(probabilitiesFile(run, name, split)),
      })),
    );
  const test = await ofSplit('test');
  const scored = [...test[0]!.probabilities.scans, ...test[0]!.probabilities.failed].some(
    ({ label }) => label !== null,
  );
  return {
    run,
    recipe: plan.recipe.name,
    val: evaluate(await ofSplit('val')),
    test: scored ? evaluate(test) : null,
    missing,
  };
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
  /** One line for each scan that has no probabilities and was put into a class all the same. */
  failed: string[];
}

export interface RunSubmission {
  /** `val` if the data set has no test scans. */
  split: 'val' | 'test';
  submissions: SubmissionResult[];
}

/**
 * Writes the recipe's submissions: the mean of the members' probabilities, one CSV file a class, every scan exactly
 * once; and for each a table of the probabilities. A submission whose members are not all done is not written, and the result
 * says so.
 *
 * @throws UserError when there is no run, or a submission would be invalid.
 */
export async function submitRun(run: string): Promise<RunSubmission> {
  const plan = await readPlan(run);
  const { done } = await membersOf(run, plan);
  const split = await splitToSubmit(run, done);
  const submissions: SubmissionResult[] = [];
  for (const { name, members } of plan.recipe.submissions) {
    const missing = members.filter((member) => !done.includes(member));
    if (missing.length > 0) {
      submissions.push({ name, members, files: [], predictions: null, counts: {}, missing, failed: [] });
      continue;
    }
    const parts = await Promise.all(
      members.map((member) => readProbabilities(probabilitiesFile(run, member, split))),
    );
    const mean = meanProbabilities(parts, members);
    const submission = makeSubmission(mean);
    const expected = {
      classes: plan.dataset.classes,
      scans: [...mean.scans, ...mean.failed].map((scan) => scan.name),
    };
    const folder = submissionFolder(run, name);
    const files = await writeSubmission(folder, submission, expected);
    const predictions = predictionsFile(run, name);
    await writeFileAtomic(predictions, predictionsTable(mean));
    const counts = Object.fromEntries(
      Object.entries(submission).map(([label, scans]) => [label, scans.length]),
    );
    submissions.push({ name, members, files, predictions, counts, missing, failed: failedReport(mean) });
  }
  await writeJson(join(run, 'submissions', 'summary.json'), { split, submissions });
  return { split, submissions };
}

async function splitToSubmit(run: string, done: readonly string[]): Promise<'val' | 'test'> {
  if (done.length === 0) return 'test';
  const test: Probabilities = await readProbabilities(probabilitiesFile(run, done[0]!, 'test'));
  return test.scans.length + test.failed.length > 0 ? 'test' : 'val';
}

async function membersOf(run: string, plan: Plan): Promise<{ done: string[]; missing: string[] }> {
  const [done, missing]: [string[], string[]] = [[], []];
  for (const { name } of plan.members)
    ((await readDone(run, name)) === undefined ? missing : done).push(name);
  return { done, missing };
}
