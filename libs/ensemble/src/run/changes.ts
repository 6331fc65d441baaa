// What may change between two starts of a run, and what may not: everything that a trained weight depends on.
import { isDeepStrictEqual } from 'node:util';
import { listed } from '@ct-ensemble/data';
import { canExtend } from '@ct-ensemble/training';
import type { Recipe } from '../recipes/schema.ts';
import type { RunScan } from '../run-folder.ts';
import { foldSeed, isFolded } from './folds.ts';
import type { Plan } from './plan.ts';

/** Scans that one message names at most. */
const MOST_SCANS = 10;

/**
 * The differences of a recipe from the one that the run was made with on which weights depend; without any it is empty.
 * Members may be added and removed; epochs may be added at the end.
 */
export function recipeChanges(old: Plan, recipe: Recipe): string[] {
  const earlier = new Map([...old.recipe.members, ...old.retired].map((member) => [member.name, member]));
  const kept = recipe.members.flatMap((member) => {
    const before = earlier.get(member.name);
    return before === undefined ? [] : differences(before, member, `members.${member.name}`);
  });
  const names = old.recipe.members.map(({ name }) => name);
  const isOther = !recipe.members.some(({ name }) => names.includes(name));
  return [
    ...differences(old.recipe.volume, recipe.volume, 'volume'),
    ...(isOther ? [`none of its members (${listed(names, MOST_SCANS)}) is in the recipe`] : []),
    ...kept,
    ...foldChanges(old.recipe, recipe),
    ...trainingChanges(old.recipe.training, recipe.training),
  ];
}

/** How the folds are drawn otherwise, if members are trained by fold. */
function foldChanges(old: Recipe, now: Recipe): string[] {
  if (!isFolded(old) || !isFolded(now)) return [];
  return [
    ...differences(old.folds, now.folds, 'folds'),
    ...differences(foldSeed(old), foldSeed(now), 'split.seed'),
  ];
}

/** Why a member cannot continue with this training; empty if it can, with more epochs too. */
function trainingChanges(old: Recipe['training'], now: Recipe['training']): string[] {
  const { epochs, learningRate } = now;
  const others = differences({ ...old, epochs, learningRate }, now, 'training');
  const rates = canExtend(old, { ...old, epochs, learningRate });
  return rates === null ? others : [...others, rates];
}

/** The classes that the run was made with, if they are others now. */
export function classChanges(old: readonly string[], now: readonly string[]): string[] {
  if (isDeepStrictEqual(old, now)) return [];
  return [`the classes were ${old.join(', ')} and are now ${now.join(', ')}`];
}

/** A scan before its volume is prepared, or with it. */
export type ComparedScan = Pick<RunScan, 'key' | 'label' | 'split' | 'fold'> &
  Partial<Pick<RunScan, 'volume'>>;

export interface ScanChanges {
  /** A phrase for each scan that is or was for training or validation, such as `train/a/scan_1 has changed`. */
  fitted: string[];
  /** The same for test scans. */
  test: string[];
}

/** What differs between two lists of scans: added, removed, of another class, split, fold or content. Volumes are compared if both are known. */
export function scanChanges(
  old: readonly ComparedScan[],
  now: readonly ComparedScan[],
  classes: readonly string[],
): ScanChanges {
  const [before, after] = [byKey(old), byKey(now)];
  const changes: ScanChanges = { fitted: [], test: [] };
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const [was, is] = [before.get(key), after.get(key)];
    const change = changeOf(was, is, classes);
    if (change === undefined) continue;
    const isTest = (was ?? is)!.split === 'test' && (is ?? was)!.split === 'test';
    changes[isTest ? 'test' : 'fitted'].push(`${key} ${change}`);
  }
  return changes;
}

const byKey = (scans: readonly ComparedScan[]) => new Map(scans.map((scan) => [scan.key, scan]));

function changeOf(
  was: ComparedScan | undefined,
  is: ComparedScan | undefined,
  classes: readonly string[],
): string | undefined {
  if (was === undefined) return 'was added';
  if (is === undefined) return 'was removed';
  if (was.split !== is.split) return `was in split ${was.split} and is now in ${is.split}`;
  const name = (label: number | null) => (label === null ? 'without a class' : `of class ${classes[label]}`);
  if (was.label !== is.label) return `was ${name(was.label)} and is now ${name(is.label)}`;
  const inFold = (fold: number | null | undefined) => (fold ? `in fold ${fold}` : 'in no fold');
  if ((was.fold ?? null) !== (is.fold ?? null))
    return `was ${inFold(was.fold)} and is now ${inFold(is.fold)}`;
  if (is.volume === undefined || was.volume === is.volume) return undefined;
  if (is.volume === null) return 'could be prepared and cannot be now';
  return was.volume === null ? 'could not be prepared and now can be' : 'has changed';
}

/** The phrases of `scanChanges`: the first ten, and how many more there are. */
export function inWords(changes: readonly string[]): string {
  const more = changes.length - MOST_SCANS;
  const shown = changes.slice(0, MOST_SCANS).map((change) => `${change} since the run was made`);
  return shown.join('; ') + (more > 0 ? `; and ${more} more` : '');
}

/** Each field that differs, such as `training.epochs was 8 and is now 4`. */
function differences(old: unknown, now: unknown, path: string): string[] {
  if (isDeepStrictEqual(old, now)) return [];
  if (!isContainer(old) || !isContainer(now))
    return [`${path} was ${JSON.stringify(old)} and is now ${JSON.stringify(now)}`];
  return [...new Set([...Object.keys(old), ...Object.keys(now)])].flatMap((key) =>
    differences(old[key], now[key], `${path}.${key}`),
  );
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
