// The folds of a run: which fold each scan is in, and which scans a member of a fold is trained and validated on.
import { UserError } from '@ct-ensemble/core';
import { makeFolds, type ScanEntry } from '@ct-ensemble/data';
import type { Recipe } from '../recipes/schema.ts';
import type { MemberScans, RunScan } from '../run-folder.ts';

/** Whether the members of a recipe are trained by fold. */
export const isFolded = ({ members }: Pick<Recipe, 'members'>) =>
  members.some(({ fold }) => fold !== undefined);

/** The seed that draws the folds. */
export const foldSeed = ({ split }: Pick<Recipe, 'split'>) => split?.seed ?? 1;

/**
 * Fold of each scan by its key, 1 … folds: by patient and stratified by class, over the scans for training and validation that
 * have a label. Undefined for a recipe without folds.
 */
export function foldsOf(
  scans: readonly Pick<ScanEntry, 'key' | 'patient' | 'label' | 'split'>[],
  recipe: Pick<Recipe, 'folds' | 'split'>,
): ReadonlyMap<string, number> | undefined {
  const { folds } = recipe;
  if (folds === undefined) return undefined;
  return makeFolds(
    scans.filter(({ split }) => split !== 'test'),
    { folds, seed: foldSeed(recipe) },
  );
}

/** Adds each scan's fold, if members are trained by fold. */
export function withFolds<Scan extends { key: string }>(
  scans: readonly Scan[],
  folds: ReadonlyMap<string, number> | undefined,
): (Scan & { fold?: number | null })[] {
  if (folds === undefined) return [...scans];
  return scans.map((scan) => ({ ...scan, fold: folds.get(scan.key) ?? null }));
}

/**
 * The scans in the splits that a member of this fold is trained with: val is the fold, train are the other folds, test stays.
 * Scans without a fold that are not for test are left out.
 */
export function scansOfFold<Scan extends Pick<RunScan, 'split' | 'fold'>>(
  scans: readonly Scan[],
  fold: number,
): Scan[] {
  return scans.flatMap((scan) => {
    if (scan.split === 'test') return [scan];
    if (!scan.fold) return [];
    return [{ ...scan, split: scan.fold === fold ? 'val' : 'train' }];
  });
}

/** The members' scans once for each fold that some of them have, in the splits of that fold; as they are without folds. */
export function foldViews(scans: readonly MemberScans[]): (MemberScans & { fold?: number })[] {
  return scans.flatMap((each): (MemberScans & { fold?: number })[] => {
    if (each.folds === undefined) return [each];
    const folds = [...new Set(Object.values(each.folds))].sort((a, b) => a - b);
    return folds.map((fold) => ({
      members: each.members.filter((name) => each.folds![name] === fold),
      scans: scansOfFold(each.scans, fold),
      fold,
    }));
  });
}

/**
 * Checks that each fold has scans to validate on and each class scans to train on.
 *
 * @returns a line on the sizes of the folds, and one for each fold that has no scan of some class; empty without folds.
 * @throws UserError that names the folds or classes with too few scans.
 */
export function checkFolds(
  scans: readonly MemberScans[],
  { root, classes, folds }: { root: string; classes: readonly string[]; folds: number | undefined },
): string[] {
  const views = foldViews(scans).filter(({ fold }) => fold !== undefined);
  if (views.length === 0) return [];
  const remedy = 'lower the number of folds in the recipe, or add scans';
  const counts = views.map(({ scans, fold }) => ({
    fold: fold!,
    val: countsOf(scans, { split: 'val', classes }),
    train: countsOf(scans, { split: 'train', classes }),
  }));
  const empty = counts.filter(({ val }) => sum(val) === 0).map(({ fold }) => fold);
  if (empty.length > 0) {
    const problem = `no scan of fold ${[...new Set(empty)].join(', ')} could be prepared`;
    throw new UserError(problem, { file: root, remedy });
  }
  for (const [label, name] of classes.entries()) {
    const ofClass = scans[0]!.scans.filter((scan) => scan.fold && scan.label === label);
    if (ofClass.length === 0 || counts.some(({ val }) => val[label]! > 0)) continue;
    const { key, failure } = ofClass[0]!;
    throw new UserError(
      `the class ${name} has no scan left for training and validation: none of its ${ofClass.length} could be prepared`,
      { file: root, remedy: `mend or remove the scans; the first of them, ${key}: ${failure}` },
    );
  }
  for (const { fold, train, val } of counts) {
    const lost = classes.filter((_, label) => train[label] === 0 && val[label]! > 0);
    if (lost.length === 0) continue;
    throw new UserError(
      `a member of fold ${fold} would be trained without any scan of class ${lost.join(', ')}: all usable ones are in this fold`,
      { file: root, remedy },
    );
  }
  const without = counts.flatMap(({ fold, train, val }) => {
    const lost = classes.filter((_, label) => val[label] === 0 && train[label]! > 0);
    return lost.length === 0 ? [] : [`fold ${fold} has no scan of ${lost.join(', ')}`];
  });
  const development = scans[0]!.scans.filter(({ fold, volume }) => fold && volume !== null);
  const sizes = Array.from(
    { length: folds ?? 0 },
    (_, f) => development.filter(({ fold }) => fold === f + 1).length,
  );
  return [
    `${folds} folds by patient of the ${development.length} scans for training and validation, of ${sizes.join(', ')} scans: column fold of splits.csv`,
    ...[...new Set(without)].map(
      (line) =>
        `${line}: the macro F1 on this fold, by which its members choose their best epoch, counts the class as 0`,
    ),
  ];
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

function countsOf(
  scans: readonly RunScan[],
  { split, classes }: { split: 'train' | 'val'; classes: readonly string[] },
): number[] {
  const usable = scans.filter((scan) => scan.split === split && scan.volume !== null);
  return classes.map((_, label) => usable.filter((scan) => scan.label === label).length);
}
