// The plan of a run: what is trained, on what, where. Made once, then read by every later command.
import { createHash } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { UserError, writeJson } from '@ct-ensemble/core';
import { type DatasetIndex, type StoredScan, viewsOf } from '@ct-ensemble/data';
import { z } from 'zod';
import { recipeSchema, type Recipe } from '../recipes/schema.ts';
import { isSafeName, safeNameRule } from '../names.ts';
import { type MemberScans, planFile } from '../run-folder.ts';
import { readRecord } from '../run-records.ts';

const memberPlan = z.object({
  /** Names the member's folder. */
  name: z.string().refine(isSafeName, `must be a safe folder name: ${safeNameRule}`),
  architecture: z.string(),
  seed: z.int(),
  /** Starts from published weights. */
  pretrained: z.boolean().default(false),
  /** The volumes the network sees; in the store their slices stand one after the other. */
  views: z.array(z.object({ depth: z.int(), height: z.int(), width: z.int() })),
  /** Where it is to be trained; a device that is free earlier may take it. Its config.json says where it was. */
  device: z.string(),
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
    /** SHA-256 over names, labels and contents of all scans. */
    digest: z.string(),
  }),
  engine: z.enum(['tensorflow', 'cpu']),
  devices: z.array(z.string()),
  members: z.array(memberPlan).refine(hasDistinctNames, 'two members have the same name'),
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
    members: recipe.members.map(({ name, architecture, seed, pretrained }, i) => ({
      name,
      architecture,
      seed,
      pretrained,
      views: viewsOf(recipe.volume).map((depth) => ({ depth, height, width })),
      device: devices[i % devices.length]!,
    })),
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

const readPlanIfPresent = (run: string): Promise<Plan | undefined> =>
  readRecord(planFile(run), {
    schema: planSchema,
    remedy: 'choose another folder with --run: this plan was written by another version or by hand',
  });

/**
 * Writes the plan, or goes on with the one that is there: devices, engine and the engine's settings may change between two
 * starts, nothing else may.
 *
 * @returns whether the run was there already.
 * @throws UserError that names the first field in which the two plans differ.
 */
export async function adoptPlan(run: string, plan: Plan): Promise<'new' | 'continued'> {
  const old = await readPlanIfPresent(run);
  if (old !== undefined) {
    const difference = firstDifference(
      { recipe: fixedRecipe(old), dataset: fixed(old) },
      { recipe: fixedRecipe(plan), dataset: fixed(plan) },
      '',
    );
    if (difference !== undefined) {
      throw new UserError(`this run was made with other settings: ${difference}`, {
        file: run,
        remedy: 'choose another folder with --run, or give the settings it was made with',
      });
    }
  }
  await writeJson(planFile(run), plan);
  return old === undefined ? 'new' : 'continued';
}

/** A data set and its table may move; their content may not change. */
const fixed = ({ dataset }: Plan) => ({ ...dataset, root: undefined, labels: undefined });

/** What the engine is told changes no plan; the precision of training is the recipe's. */
const fixedRecipe = ({ recipe }: Plan) => ({ ...recipe, engine: undefined });

function firstDifference(old: unknown, now: unknown, path: string): string | undefined {
  if (isDeepStrictEqual(old, now)) return undefined;
  if (!isContainer(old) || !isContainer(now))
    return `${path} was ${JSON.stringify(old)} and is now ${JSON.stringify(now)}`;
  for (const key of new Set([...Object.keys(old), ...Object.keys(now)])) {
    const difference = firstDifference(old[key], now[key], path === '' ? key : `${path}.${key}`);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** SHA-256 over keys, labels and volumes of all scans, in order: what `dataset.digest` of a plan holds. */
export function digestOf(scans: readonly Pick<MemberScans, 'scans'>[]): string {
  const hash = createHash('sha256');
  for (const { key, label, volume } of scans.flatMap(({ scans }) => scans))
    hash.update(`${JSON.stringify([key, label, volume])}\n`);
  return hash.digest('hex');
}
