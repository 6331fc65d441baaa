// What a report says of a run, read from its folder.
import { basename, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { readJson } from '@ct-ensemble/core';
import {
  type AugmentationGain,
  augmentationGains,
  type ChosenSubmissions,
  chosenSubmissions,
  choiceWords,
  type FoldedMember,
  groupsOf,
  isChosen,
  isFolded,
  meanProbabilities,
  type MemberResults,
  openRecipe,
  outOfFold,
  type Probabilities,
  readRunResults,
  type RunResults,
} from '@ct-ensemble/ensemble';
import { inWords } from '../model/words.ts';
import { type Averaged, type Chosen, rowsOf } from './rows.ts';
import type { MemberInput, RunInput, ScanInput, SplitInput, SubmissionInput } from './run-input.ts';

/** The input of a report, and where its scans' volumes are. */
export interface ReadRun {
  input: RunInput;
  /** Content keys in the volume store by the keys of scans. */
  volumes: ReadonlyMap<string, string>;
  /** Slices of the first view, from which pictures are made. */
  depth: number;
}

/**
 * Reads a run. Members that are not done or cannot be used are listed and left out of the rows.
 * @throws {UserError} if there is no run, or one of its records is damaged.
 */
export async function readRunInput(run: string): Promise<ReadRun> {
  const results = await readRunResults(run);
  const chosen = chosenSubmissions(results);
  return runInputOf(results, {
    run,
    chosen,
    augmentation: await augmentationGains(run, results, { chosen }),
  });
}

export interface RunInputOptions {
  /** Folder of the run. */
  run: string;
  chosen: ChosenSubmissions;
  augmentation: readonly AugmentationGain[];
}

/** As `readRunInput`, of a run that has been read. */
export async function runInputOf(
  results: RunResults,
  { run, chosen, augmentation }: RunInputOptions,
): Promise<ReadRun> {
  const { plan, members, dataset, findings } = results;
  const { recipe } = plan;
  const splits = splitsOf(results, chosen);
  const { classes } = plan.dataset;
  const input: RunInput = {
    run: basename(resolve(run)),
    recipe: {
      name: recipe.name,
      description: recipe.description,
      text: `${JSON.stringify(recipe, null, 2)}\n`,
    },
    task: recipe.task ?? null,
    asInPaper: await isPublished(results),
    classes,
    positive: recipe.task === 'detection' ? classes.indexOf('covid') : null,
    dataset: {
      root: plan.dataset.root,
      layout: plan.dataset.layout,
      splits:
        plan.dataset.splits === 'data'
          ? 'The splits are those of the data set.'
          : "The splits were drawn by the recipe's shares.",
      counts: Object.entries(dataset.counts).map(([split, counts]) => ({ split, ...counts })),
      findings: dataset.findings.map(({ kind, path, message }) => ({ kind, path, message })),
    },
    members: plan.members.map((member, i) =>
      memberInput(member, { results, training: results.training[i]! }),
    ),
    splits: splits.inputs,
    submissions: recipe.submissions.map((submission): SubmissionInput => ({
      name: submission.name,
      members: submission.members,
      choice: choiceOf(submission, chosen),
      missing: submission.members.filter((name) => !members.usable.some((member) => member.name === name)),
    })),
    augmentation,
    findings: [...findings, ...chosen.problems, ...splits.findings],
    versions: await versions(),
  };
  return { input, volumes: results.volumes, depth: plan.members[0]!.views[0]!.depth };
}

/** What a submission chooses, in words; null for a mean. */
function choiceOf(
  submission: RunResults['plan']['recipe']['submissions'][number],
  { submissions }: ChosenSubmissions,
): string | null {
  if (!isChosen(submission)) return null;
  const made = submissions.find(({ name }) => name === submission.name);
  return made === undefined ? 'nothing could be chosen' : choiceWords(made.combination.choice);
}

function memberInput(
  { name, architecture, seed, fold }: RunResults['plan']['members'][number],
  { results, training }: { results: RunResults; training: MemberResults },
): MemberInput {
  const { members } = results;
  const unusable = members.unusable.find(({ member }) => member === name);
  const usable = members.usable.some((member) => member.name === name);
  const state = usable
    ? 'done'
    : unusable !== undefined
      ? 'unusable'
      : training.failure === null
        ? 'not trained'
        : 'failed';
  const { config, done, history } = training;
  const unique = (values: readonly string[]) =>
    values.length === 0 ? null : [...new Set(values)].join(', then ');
  const past = config?.history ?? [];
  return {
    name,
    architecture,
    seed,
    fold: fold ?? null,
    state,
    problem: usable
      ? null
      : (unusable?.problem ??
        training.failure ??
        (history.length > 0 ? `stopped after epoch ${history.length}` : null)),
    device: unique(
      past.length > 0 ? past.map(({ device }) => device) : config === null ? [] : [config.member.device],
    ),
    engine: unique(
      past.length > 0
        ? past.map(({ versions }) =>
            Object.entries(versions)
              .map(([library, version]) => `${library} ${version}`)
              .join(', '),
          )
        : config === null
          ? []
          : [config.engine],
    ),
    node: unique(past.length > 0 ? past.map(({ node }) => node) : config === null ? [] : [config.node]),
    epochs: history.map(({ epoch, learningRate, loss, macroF1, seconds }) => ({
      epoch: epoch + 1,
      learningRate,
      loss,
      macroF1,
      seconds: seconds ?? null,
    })),
    bestEpoch: done?.bestEpoch ?? null,
  };
}

function splitsOf(
  results: RunResults,
  chosen: ChosenSubmissions,
): { inputs: SplitInput[]; findings: string[] } {
  const { plan, members } = results;
  const submissions = plan.recipe.submissions.filter((each) => !isChosen(each));
  const averaged = (split: 'val' | 'test') =>
    members.usable.map(({ name, probabilities }): Averaged => ({
      name,
      kind: 'member',
      members: [name],
      byKey: byKey(probabilities[split]!),
    }));
  const ofSplit = (split: 'val' | 'test'): SplitInput[] => {
    const all = members.usable.map(({ probabilities }) => probabilities[split]!);
    const scans = scansOf(all, results);
    if (scans.length === 0) return [];
    const rows = rowsOf(averaged(split), {
      keys: scans.map(({ key }) => key),
      submissions,
      chosen: chosen.submissions.map((each) => {
        const parts = members.usable
          .filter(({ name }) => each.members.includes(name))
          .map(({ name, probabilities }) => ({ name, probabilities: probabilities[split]! }));
        const mean = meanProbabilities(
          parts.map(({ probabilities }) => probabilities),
          parts.map(({ name }) => name),
        );
        return chosenRow(each, { own: each.combination.apply(parts), mean });
      }),
    });
    return [{ split, scans, rows }];
  };
  if (members.usable.length === 0) return { inputs: [], findings: [] };
  if (!isFolded(plan.recipe)) return { inputs: [...ofSplit('val'), ...ofSplit('test')], findings: [] };
  const folded = outOfFoldSplit(results, chosen);
  return { inputs: [...folded.inputs, ...ofSplit('test')], findings: folded.findings };
}

/** The out-of-fold rows: groups that cover all folds; if there is none, the group that covers most. */
function outOfFoldSplit(
  results: RunResults,
  { submissions }: ChosenSubmissions,
): { inputs: SplitInput[]; findings: string[] } {
  const { plan, members, scans } = results;
  const all = Array.from({ length: plan.recipe.folds! }, (_, i) => i + 1);
  const groups = groupsOf(plan).map(({ name, members: planned }) => {
    const parts = planned.flatMap(({ name, fold }): FoldedMember[] => {
      const usable = members.usable.find((member) => member.name === name);
      return usable === undefined ? [] : [{ name, fold: fold!, probabilities: usable.probabilities.val! }];
    });
    return { name, parts, lacking: all.filter((fold) => !parts.some((part) => part.fold === fold)) };
  });
  const complete = groups.filter(({ lacking }) => lacking.length === 0);
  const most = groups.reduce((a, b) => (b.lacking.length < a.lacking.length ? b : a));
  const chosen = complete.length > 0 ? complete : [most];
  const probabilities = chosen.map(({ parts }) => outOfFold(parts, scans.inFolds));
  const averaged = chosen.map(({ name, parts }, i): Averaged => ({
    name,
    kind: 'group',
    members: parts.map((part) => part.name),
    byKey: byKey(probabilities[i]!),
  }));
  const listed = scansOf(probabilities, results);
  const left = groups.filter((group) => !chosen.includes(group));
  return {
    inputs: [
      {
        split: 'out-of-fold',
        scans: listed,
        rows: rowsOf(averaged, {
          keys: listed.map(({ key }) => key),
          submissions: plan.recipe.submissions.filter((each) => !isChosen(each)),
          chosen: submissions.map((each) =>
            chosenRow(each, { own: each.combination.nested, mean: each.combination.mean }),
          ),
        }),
      },
    ],
    findings: [
      ...left.map(
        ({ name, lacking }) =>
          `${name} is not in the out-of-fold tables: no member for fold ${inWords(lacking.map(String))} can be used`,
      ),
      ...(complete.length === 0
        ? [
            `only the scans of ${all.length - most.lacking.length} of ${all.length} folds have out-of-fold probabilities`,
          ]
        : []),
    ],
  };
}

function chosenRow(
  { name, members, combination: { choice } }: ChosenSubmissions['submissions'][number],
  { own, mean }: { own: Probabilities; mean: Probabilities },
): Chosen {
  return {
    name,
    members,
    words: choiceWords(choice),
    isStretched: choice.threshold !== null,
    byKey: byKey(own),
    mean: byKey(mean),
  };
}

const byKey = ({ scans, rows }: Probabilities) => new Map(scans.map(({ key }, i) => [key, rows[i]!]));

/** The scans of all of them; one that failed for any is a failed one. */
function scansOf(all: readonly Probabilities[], { patients, groupColumns, scans }: RunResults): ScanInput[] {
  const folds = new Map(scans.inFolds.map(({ key, fold }) => [key, fold]));
  const failures = new Map(all.flatMap(({ failed }) => failed.map(({ key, reason }) => [key, reason])));
  const listed = new Map(
    all.flatMap(({ scans, failed }) => [...scans, ...failed].map(({ key, label }) => [key, label])),
  );
  return [...listed].map(([key, label]) => ({
    key,
    label,
    patient: patients.get(key) ?? null,
    fold: folds.get(key) ?? null,
    groups: groupColumns.get(key) ?? {},
    failure: failures.get(key) ?? null,
  }));
}

const published = ['detection-paper', 'severity-paper', 'severity-paper-code'];

/** Whether volumes, members and training are those of a recipe of the paper, as it is in this project. */
async function isPublished({ plan: { recipe } }: RunResults): Promise<boolean> {
  if (!published.includes(recipe.name)) return false;
  const shipped = await openRecipe(recipe.name);
  const parts = ({ volume, members, training }: typeof recipe): unknown =>
    JSON.parse(JSON.stringify({ volume, members, training }));
  return isDeepStrictEqual(parts(recipe), parts(shipped));
}

async function versions(): Promise<string[]> {
  const own = await readJson(fileURLToPath(new URL('../../../package.json', import.meta.url)));
  const { version } = own as { version: string };
  return [`Report made by ct-ensemble ${version} with Node.js ${process.version}.`];
}
