// Which members of a run have something left to do, by their files.
import { stat } from 'node:fs/promises';
import type { Recipe } from '../recipes/schema.ts';
import { doneFile, summaryFile } from '../run-folder.ts';
import { readAllScans, readDone, scansOf } from '../run-records.ts';
import { missingProbabilities } from '../run/member-probabilities.ts';
import { readPlanIfPresent } from '../run/plan.ts';

export interface OpenMembers {
  /** Members that are not trained, or whose probabilities are missing. */
  open: string[];
  /** All of the recipe. */
  all: string[];
  /** Whether the submissions are newer than every member. */
  isEvaluated: boolean;
}

/** `hasNewTestScans`: trained members have to predict, whatever probabilities there are. */
export async function openMembers(
  run: string,
  { recipe, hasNewTestScans = false }: { recipe: Recipe; hasNewTestScans?: boolean },
): Promise<OpenMembers> {
  const all = recipe.members.map(({ name }) => name);
  const plan = await readPlanIfPresent(run);
  const scans = await readAllScans(run).catch(() => undefined);
  const open: string[] = [];
  for (const member of all) {
    const done = await readDone(run, member);
    const isTrained = done !== undefined && done.epochs >= recipe.training.epochs;
    const isAnswered =
      isTrained &&
      !hasNewTestScans &&
      plan !== undefined &&
      scans?.some(({ members }) => members.includes(member)) === true &&
      (
        await missingProbabilities(run, member, {
          scans: scansOf(scans, { run, member }),
          classes: plan.dataset.classes,
        })
      ).length === 0;
    if (!isAnswered) open.push(member);
  }
  const times = await Promise.all(
    [summaryFile(run), ...all.map((name) => doneFile(run, name))].map(modified),
  );
  const [evaluated, ...done] = times;
  return {
    open,
    all,
    isEvaluated: evaluated !== undefined && done.every((time) => time !== undefined && time <= evaluated),
  };
}

const modified = (file: string) =>
  stat(file).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
