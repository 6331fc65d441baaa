// What is checked before a member is trained: scan names, memory, and classes that got lost in the preparation.
import { usableMemory, UserError } from '@ct-ensemble/core';
import { type DatasetIndex, listed, type Split, SPLITS, type StoredScan, viewsOf } from '@ct-ensemble/data';
import type { Device } from '@ct-ensemble/engine';
import type { Recipe } from '../recipes/schema.ts';
import { isWritable } from '../results/submission.ts';
import { developmentNames, submissionNames } from '../results/scan-names.ts';
import type { MemberScans, RunScan } from '../run-folder.ts';
import { foldViews } from './folds.ts';

/** Names that one message lists at most. */
const MOST_NAMES = 50;

type IndexedScan = Pick<RunScan, 'key' | 'name' | 'label' | 'split' | 'fold'>;

export interface StartCheckOptions {
  recipe: Recipe;
  index: Pick<DatasetIndex, 'root'> & { scans: readonly IndexedScan[] };
  devices: readonly Device[];
  /** Memory in bytes that a process may use. Default: `usableMemory()`. */
  memory?: number;
}

/**
 * Checks what is known before any volume is prepared.
 * @throws UserError that lists all problems: scan names that no submission can hold, batches that exceed the memory.
 */
export function checkBeforePreparation(options: StartCheckOptions) {
  refuse(options.index.root, [...nameProblems(options), ...memoryProblems(options)]);
}

interface StartProblem {
  problem: string;
  remedy: string;
}

function refuse(root: string, problems: readonly StartProblem[]) {
  const [first] = problems;
  if (first === undefined) return;
  if (problems.length === 1) throw new UserError(first.problem, { file: root, remedy: first.remedy });
  const lines = problems.map(({ problem, remedy }) => `${problem} → ${remedy}`);
  throw new UserError(`${problems.length} problems\n  ${lines.join('\n  ')}`, { file: root });
}

/** A submission lists the test scans, without test scans the validation scans. */
function nameProblems({ index }: StartCheckOptions): StartProblem[] {
  const split = index.scans.some((scan) => scan.split === 'test') ? 'test' : 'val';
  // Without test scans a submission of members of folds lists the scans of all folds.
  const inFolds = split === 'val' ? index.scans.filter(({ fold }) => fold) : [];
  const listedScans = inFolds.length > 0 ? inFolds : index.scans.filter((scan) => scan.split === split);
  const names = inFolds.length > 0 ? developmentNames(listedScans) : submissionNames(listedScans);
  const bad = names.filter((name) => !isWritable(name));
  if (bad.length === 0) return [];
  const what = bad.length === 1 ? 'the name of a scan' : `the names of ${bad.length} scans`;
  return [
    {
      problem: `${what} of split ${inFolds.length > 0 ? 'train or val' : split} cannot stand in a submission file: ${listed(
        bad.map((name) => JSON.stringify(name)),
        MOST_NAMES,
      )}`,
      remedy:
        'rename the scans: a name may not hold commas, quotes or line breaks, begin or end with a space, or be "patient"',
    },
  ];
}

/** A batch that does not fit alone cannot work; what the network itself needs is not estimated. */
function memoryProblems({
  recipe,
  index,
  devices,
  memory = usableMemory(),
}: StartCheckOptions): StartProblem[] {
  const { volume, training } = recipe;
  const count = (split: Split) => index.scans.filter((scan) => scan.split === split).length;
  const trained = Math.min(training.batchSize / (training.accumulate ?? 1), count('train'));
  const predicted = Math.min(training.batchSize, Math.max(count('val'), count('test')));
  const scans = Math.max(trained, predicted, 1);
  const depth = viewsOf(volume).reduce((sum, slices) => sum + slices, 0);
  const voxels = scans * depth * volume.height * volume.width;
  // On a CPU the batch is there as float32; to a GPU it goes as the bytes that were read.
  const [type, size] = devices.some(({ kind }) => kind === 'cpu') ? ['float32', 4] : ['uint8', 1];
  if (voxels * size <= memory) return [];
  const shape = `${scans} × ${depth} × ${volume.height} × ${volume.width}`;
  return [
    {
      problem: `a batch (${shape}) takes ${gibibytes(voxels * size)} as ${type}, more than the memory of ${gibibytes(memory)}`,
      remedy: 'lower training.batchSize or the size of the volume in the recipe',
    },
  ];
}

const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/**
 * Checks the prepared scans of every member; of members of folds only the test scans, see `checkFolds` for the others.
 * @throws UserError that lists all problems: a split without a usable scan, and a class in train or val that has scans, but
 * none of them usable.
 */
export function checkPrepared({
  root,
  classes,
  scans,
}: {
  root: string;
  classes: readonly string[];
  scans: readonly MemberScans[];
}) {
  const problems = scans.flatMap((each) => {
    const splits: readonly Split[] = each.folds === undefined ? SPLITS : ['test'];
    return splits.flatMap((split) => lossesIn(each, { split, classes }));
  });
  const different = new Map(problems.map((each) => [each.problem, each]));
  refuse(root, [...different.values()]);
}

function lossesIn(
  { scans }: MemberScans,
  { split, classes }: { split: Split; classes: readonly string[] },
): StartProblem[] {
  const inSplit = scans.filter((scan) => scan.split === split);
  const remedy = (of: readonly StoredScan[]) => {
    const { key, failure } = of[0]!;
    return `mend or remove the scans; the first of them, ${key}: ${failure}`;
  };
  if (inSplit.length === 0) {
    if (split === 'test') return [];
    return [
      {
        problem: `no scan of split ${split} could be prepared`,
        remedy: `add scans to the split ${split}, or give no splits to have them made by the recipe's field split`,
      },
    ];
  }
  if (inSplit.every(isBroken))
    return [{ problem: `no scan of split ${split} could be prepared`, remedy: remedy(inSplit) }];
  if (split === 'test') return [];
  return classes.flatMap((name, label) => {
    const ofClass = inSplit.filter((scan) => scan.label === label);
    if (ofClass.length === 0 || !ofClass.every(isBroken)) return [];
    const scans = ofClass.length === 1 ? 'its only scan' : `none of its ${ofClass.length} scans`;
    const problem = `the class ${name} has no scan left in split ${split}: ${scans} could ${ofClass.length === 1 ? 'not ' : ''}be prepared`;
    return [{ problem, remedy: remedy(ofClass) }];
  });
}

const isBroken = ({ volume }: StoredScan) => volume === null;

/**
 * What the user should know of the scans before training: a line for each split that lost some in the preparation, and one if
 * a batch would have more scans than there are.
 */
export function startNotes({ training }: Recipe, scans: readonly MemberScans[]): string[] {
  const one = scans[0]!.scans;
  /** Broken for some members. */
  const broken = new Set(scans.flatMap((each) => each.scans.filter(isBroken).map(({ key }) => key)));
  const lost = SPLITS.flatMap((split) => {
    const inSplit = one.filter((scan) => scan.split === split);
    const names = inSplit.filter(({ key }) => broken.has(key)).map(({ key }) => key);
    if (names.length === 0) return [];
    return [
      `${split}: ${names.length} of ${inSplit.length} scans could not be prepared: ${listed(names, 5)}`,
    ];
  });
  const train = Math.min(
    ...foldViews(scans.slice(0, 1)).map(
      (view) => view.scans.filter((scan) => scan.split === 'train' && !isBroken(scan)).length,
    ),
  );
  if (training.batchSize <= train) return lost;
  return [
    ...lost,
    `training.batchSize is ${training.batchSize}, but there are ${train} training scans: each epoch is one step of ${train} scans`,
  ];
}
