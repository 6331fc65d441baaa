// The plan of a run: what is trained, on what, where. Made once, then read by every later command.
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { UserError, writeJson } from '@ct-ensemble/core';
import { type DatasetIndex, mapConcurrent, type StoredScan, viewsOf } from '@ct-ensemble/data';
import { z } from 'zod';
import { recipeSchema, type Recipe } from '../recipes/schema.ts';
import { isSafeName, safeNameRule } from '../names.ts';
import { type MemberScans, planFile, probabilitiesFile, writeScans } from '../run-folder.ts';
import { readRecord } from '../json-record.ts';
import { readAllScans } from '../run-records.ts';
import { classChanges, type ComparedScan, inWords, recipeChanges, scanChanges } from './changes.ts';

const memberPlan = z.object({
  /** Names the member's folder. */
  name: z.string().refine(isSafeName, `must be a safe folder name: ${safeNameRule}`),
  architecture: z.string(),
  seed: z.int(),
  /** Starts from published weights. */
  pretrained: z.boolean().default(false),
  /** Validated on this fold of the scans for training and validation, from 1, and trained on the others; absent: by the splits. */
  fold: z.int().positive().optional(),
  /** The volumes the network sees; in the store their slices stand one after the other. */
  views: z.array(z.object({ depth: z.int(), height: z.int(), width: z.int() })),
  /** Where it is to be trained; a device that is free earlier may take it. Its config.json says where it was. */
  device: z.string(),
  /**
   * Micro-batches in a step, if memory was too small for as many scans at once as the recipe says. A later start begins with
   * this number.
   */
  accumulate: z.int().positive().optional(),
});

const planSchema = z.object({
  version: z.literal(1),
  recipe: recipeSchema,
  dataset: z.object({
    root: z.string(),
    /** Plans of earlier versions name no layout: there was one. */
    layout: z.string().default('cov19-ct-db'),
    /** The table of scans, if there is one. */
    labels: z.string().nullable().default(null),
    /** Where the splits are from: the data set, or the recipe's shares. */
    splits: z.enum(['data', 'recipe']).default('data'),
    /** Label i is classes[i]. */
    classes: z.array(z.string()),
    /** Usable scans of each split. */
    scans: z.object({ train: z.int(), val: z.int(), test: z.int() }),
    /** SHA-256 over names, labels, contents and folds of all scans. */
    digest: z.string(),
  }),
  engine: z.enum(['tensorflow', 'cpu']),
  devices: z.array(z.string()),
  members: z.array(memberPlan).refine(hasDistinctNames, 'two members have the same name'),
  /** Members that were in the recipe at an earlier start: their folders are kept, and they may come back as they were. */
  retired: z.array(recipeSchema.shape.members.element).default([]),
});

function hasDistinctNames(members: readonly { name: string }[]): boolean {
  return new Set(members.map(({ name }) => name)).size === members.length;
}

export type Plan = z.infer<typeof planSchema>;
export type MemberPlan = z.infer<typeof memberPlan>;

export interface PlanOptions {
  recipe: Recipe;
  dataset: Pick<DatasetIndex, 'root' | 'layout' | 'classes' | 'splits'> & { labels: string | null };
  /** Each member's; all are the same but for their volumes. */
  scans: readonly MemberScans[];
  engine: Plan['engine'];
  devices: readonly string[];
}

export function makePlan({ recipe, dataset, scans, engine, devices }: PlanOptions): Plan {
  const usable = (split: StoredScan['split']) =>
    scans[0]!.scans.filter((scan) => scan.split === split && scan.volume !== null).length;
  const { height, width } = recipe.volume;
  return {
    version: 1,
    recipe,
    dataset: {
      root: dataset.root,
      layout: dataset.layout,
      labels: dataset.labels,
      splits: dataset.splits,
      classes: [...dataset.classes],
      scans: { train: usable('train'), val: usable('val'), test: usable('test') },
      digest: digestOf(scans),
    },
    engine,
    devices: [...devices],
    members: recipe.members.map(({ name, architecture, seed, pretrained, fold }, i) => ({
      name,
      architecture,
      seed,
      pretrained,
      ...(fold !== undefined && { fold }),
      views: viewsOf(recipe.volume).map((depth) => ({ depth, height, width })),
      device: devices[i % devices.length]!,
    })),
    retired: [],
  };
}

/** @throws UserError when there is none, or when it is not a plan. */
export async function readPlan(run: string): Promise<Plan> {
  const plan = await readPlanIfPresent(run);
  if (plan !== undefined) return plan;
  throw new UserError('there is no run here: plan.json is missing', {
    file: run,
    remedy: 'name the folder of a run with --run, or make one with nx run trainer:all-members',
  });
}

/** The plan of a run; undefined if there is none. @throws UserError when it is not a plan. */
export const readPlanIfPresent = (run: string): Promise<Plan | undefined> =>
  readRecord(planFile(run), {
    schema: planSchema,
    remedy: 'choose another folder with --run: this plan was written by another version or by hand',
  });

export interface AdoptOptions {
  /** Each member's. */
  scans: readonly MemberScans[];
  /** Whether two volumes with different content keys have equal grey values. Default: they have not. */
  isSameVolume?: (old: string, now: string) => Promise<boolean>;
}

/** How a run was entered: as a new one, or continued. */
export interface AdoptedPlan {
  /** The plan with what an earlier start has learnt about the members. */
  plan: Plan;
  state: 'new' | 'continued';
  /** One line for each thing that differs from the last start and is allowed to. */
  notes: string[];
}

/**
 * Compares a recipe with the one that the run was made with. @throws UserError that lists all differences on which weights
 * depend.
 */
export function requireSameRecipe(old: Plan, { run, recipe }: { run: string; recipe: Recipe }) {
  refuseChanges(run, 'settings', recipeChanges(old, recipe));
}

/**
 * Compares the scans for training and validation with those that the run was made with. Volumes are compared if they are
 * known.
 *
 * @returns what differs in the test scans, and whether the scans of the run could be read (`isCompared`).
 * @throws UserError that names the scans that differ.
 */
export async function requireSameScans(
  old: Plan,
  {
    run,
    classes,
    scans,
    isSameVolume,
  }: Pick<AdoptOptions, 'isSameVolume'> & {
    run: string;
    classes: readonly string[];
    scans: readonly ComparedMembers[];
  },
): Promise<{ test: string[]; isCompared: boolean }> {
  refuseChanges(run, 'classes', classChanges(old.dataset.classes, classes));
  const fitted = new Set<string>();
  const test = new Set<string>();
  const earlier = old.recipe.members.map(({ name }) => name);
  let isCompared = true;
  const all = await readAllScans(run).catch(() => undefined);
  for (const now of scans) {
    const member = now.members.find((name) => earlier.includes(name));
    if (member === undefined) continue;
    const before = all?.find(({ members }) => members.includes(member))?.scans;
    if (before === undefined) {
      isCompared = false;
      continue;
    }
    const changes = scanChanges(await withSameVolumes(before, now.scans, isSameVolume), now.scans, classes);
    for (const change of changes.fitted) fitted.add(change);
    for (const change of changes.test) test.add(change);
  }
  if (fitted.size > 0) {
    const isAll = [...fitted].every((change) => change.endsWith(' has changed'));
    const count = scans[0]!.scans.filter(({ split }) => split !== 'test').length;
    throw new UserError(
      `this run was made with other scans for training and validation: ${inWords([...fitted])}`,
      {
        file: run,
        remedy:
          isAll && fitted.size === count && count > 1
            ? 'give the options --filter, --masks and --values as when the run was made, continue it with the version of the program that made it, or choose another folder with --run: all scans are prepared otherwise'
            : 'choose another folder with --run, or give the scans that the run was made with',
      },
    );
  }
  return { test: [...test], isCompared };
}

/** The scans with the key that their volume has now, where another version of the program gave an equal volume another key. */
async function withSameVolumes(
  before: readonly StoredScan[],
  now: readonly ComparedScan[],
  isSame: AdoptOptions['isSameVolume'],
): Promise<readonly StoredScan[]> {
  if (isSame === undefined) return before;
  const volumes = new Map(now.map(({ key, volume }) => [key, volume]));
  // A few at a time: a data set may have more volumes than a process may have open files.
  return mapConcurrent(before, 16, async (scan) => {
    const volume = volumes.get(scan.key);
    const isOther = scan.volume !== null && !!volume && scan.volume !== volume;
    return isOther && (await isSame(scan.volume!, volume)) ? { ...scan, volume } : scan;
  });
}

/** Members and their scans, whose volumes need not be known yet. */
interface ComparedMembers {
  members: readonly string[];
  scans: readonly ComparedScan[];
}

function refuseChanges(run: string, what: 'settings' | 'classes', changes: readonly string[]) {
  if (changes.length === 0) return;
  throw new UserError(`this run was made with other ${what}: ${changes.join('; ')}`, {
    file: run,
    remedy: `choose another folder with --run, or give the ${what} it was made with`,
  });
}

/**
 * Writes the plan and the scans, or continues the run that is there. Between two starts everything may change on which no
 * weight depends: test scans, submissions, description, where the data lies, devices, engine and its settings; members may be
 * added and removed, and epochs added. If test scans have changed, the members' probabilities for them are deleted: they are
 * missing then, and predicted again without training.
 *
 * @throws UserError that lists what differs otherwise.
 */
export async function adoptPlan(
  run: string,
  plan: Plan,
  { scans, isSameVolume }: AdoptOptions,
): Promise<AdoptedPlan> {
  const old = await readPlanIfPresent(run);
  if (old === undefined) {
    await writeScans(run, scans);
    await writeJson(planFile(run), plan);
    return { plan, state: 'new', notes: [] };
  }
  const { recipe } = plan;
  requireSameRecipe(old, { run, recipe });
  const { classes } = plan.dataset;
  const { test, isCompared } = await requireSameScans(old, {
    run,
    classes,
    scans,
    ...(isSameVolume && { isSameVolume }),
  });
  if (!isCompared && old.dataset.digest !== plan.dataset.digest)
    throw new UserError('this run was made with other scans', {
      file: run,
      remedy:
        'choose another folder with --run: which scans differ is not known, because scans.msgpack is missing or damaged',
    });
  const names = recipe.members.map(({ name }) => name);
  const retired = [...old.recipe.members, ...old.retired].filter(({ name }) => !names.includes(name));
  if (test.length > 0)
    for (const { name } of [...recipe.members, ...retired])
      await rm(probabilitiesFile(run, name, 'test'), { force: true });
  await writeScans(run, scans);
  const members = plan.members.map((member) => {
    const learnt = old.members.find(({ name }) => name === member.name)?.accumulate;
    return learnt === undefined ? member : { ...member, accumulate: learnt };
  });
  const adopted = { ...plan, members, retired };
  await writeJson(planFile(run), adopted);
  return { plan: adopted, state: 'continued', notes: notesOn(old, { plan: adopted, test }) };
}

/** Notes in the plan of a run how many micro-batches the memory of a device asks of a member. */
export async function keepAccumulate(run: string, member: string, accumulate: number) {
  const plan = await readPlan(run);
  const members = plan.members.map((each) => (each.name === member ? { ...each, accumulate } : each));
  await writeJson(planFile(run), { ...plan, members });
}

function notesOn(old: Plan, { plan, test }: { plan: Plan; test: readonly string[] }): string[] {
  const [before, now] = [old, plan].map(({ recipe }) => recipe.members.map(({ name }) => name));
  const added = now!.filter((name) => !before!.includes(name));
  const removed = before!.filter((name) => !now!.includes(name));
  const { epochs } = old.recipe.training;
  return [
    ...(test.length === 0 ? [] : [`test scans: ${inWords(test)}; the members are asked for them again`]),
    ...(added.length === 0 ? [] : [`new in the recipe: ${added.join(', ')}`]),
    ...(removed.length === 0
      ? []
      : [`no longer in the recipe, kept in the run's folder and not used: ${removed.join(', ')}`]),
    ...(plan.recipe.training.epochs > epochs
      ? [
          `training.epochs was ${epochs} and is now ${plan.recipe.training.epochs}: all members are trained on`,
        ]
      : []),
    ...plan.members.flatMap(({ name, accumulate }) =>
      accumulate === undefined
        ? []
        : [
            `${name} trains with ${accumulate} micro-batches in a step, as memory was too small at an earlier start`,
          ],
    ),
  ];
}

/** SHA-256 over keys, labels, volumes and folds of all scans, in order: what `dataset.digest` of a plan holds. */
export function digestOf(scans: readonly Pick<MemberScans, 'scans'>[]): string {
  const hash = createHash('sha256');
  for (const { key, label, volume, fold } of scans.flatMap(({ scans }) => scans))
    hash.update(`${JSON.stringify([key, label, volume, ...(fold === undefined ? [] : [fold])])}\n`);
  return hash.digest('hex');
}
