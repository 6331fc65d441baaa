// A run from a folder of scans to trained members: index, volumes, plan, training. What the command line calls.
import { UserError, writeJson } from '@ct-ensemble/core';
import {
  type DatasetReport,
  guardSplits,
  openVolumeStore,
  prepareDataset,
  type PreparationNetworks,
  type PreparationProgress,
  readDatasetIndex,
} from '@ct-ensemble/data';
import type { Device, EngineKind } from '@ct-ensemble/engine';
import { classifierNames, pretrainedFile } from '@ct-ensemble/models';
import { lastCheckpoint } from '@ct-ensemble/training';
import { existsSync } from 'node:fs';
import { deviceName, parseDevices, thisMachine } from './devices.ts';
import { type NetworkChoice, withNetworks } from './networks.ts';
import { adoptPlan, makePlan, type Plan } from './plan.ts';
import {
  type RecipeOverrides,
  requireFloat16,
  requireLimitable,
  withOverrides,
} from '../recipes/engine-settings.ts';
import { loadRecipe } from '../recipes/load.ts';
import { preparationsOf, type Recipe } from '../recipes/schema.ts';
import { datasetFile, memberFolder, type MemberScans, writeScans } from '../run-folder.ts';

export interface PrepareVolumesOptions extends NetworkChoice {
  /** Folder of scans in the layout of COV19-CT-DB; without training and validation scans, any folder of scans. */
  data: string;
  recipe: Recipe;
  /** Folder of the volume store. */
  store: string;
  /** What two splits share is a finding and no error. Default: false. */
  allowLeaks?: boolean;
  onProgress?: (progress: PreparationProgress) => void;
  signal?: AbortSignal;
}

export interface PrepareRunOptions extends PrepareVolumesOptions {
  run: string;
  /** As written in `--devices`. */
  devices: string;
  engine: EngineKind;
}

export interface PreparedRun {
  plan: Plan;
  devices: Device[];
  /** Each member's; all are the same but for their volumes. */
  scans: MemberScans[];
  report: DatasetReport;
  state: 'new' | 'continued';
}

/** A recipe by name or file, with its architectures checked, and with what the command line changes in it. */
export async function openRecipe(nameOrFile: string, overrides: RecipeOverrides = {}): Promise<Recipe> {
  const architectures = classifierNames();
  const published = architectures.filter((name) => pretrainedFile(name) !== undefined);
  return withOverrides(await loadRecipe(nameOrFile, { architectures, published }), overrides);
}

/** @throws {UserError} where a member is to start from published weights that are not there. */
export function requirePretrained(recipe: Recipe, run: string) {
  for (const { name, architecture, pretrained } of recipe.members) {
    if (!pretrained || existsSync(lastCheckpoint(memberFolder(run, name)))) continue;
    requirePublished(architecture);
  }
}

/** @throws {UserError} where the published weights of an architecture that has some are not there. */
export function requirePublished(architecture: string) {
  const file = pretrainedFile(architecture)!;
  if (existsSync(file)) return;
  throw new UserError(`the published weights of ${architecture} are not there`, {
    file,
    remedy: `npx nx run weights:fetch -- --architecture ${architecture}, or train with --from-scratch`,
  });
}

/**
 * Reads the data set, or any folder of scans, and prepares the recipe's volumes; those that the store has are not made
 * again.
 * @throws UserError for a data set that will not do.
 */
export function prepareVolumes(options: PrepareVolumesOptions) {
  return volumesOf(options, { anyFolder: true });
}

async function volumesOf(options: PrepareVolumesOptions, { anyFolder }: { anyFolder: boolean }) {
  return withNetworks(options, async (networks) => {
    const { data, recipe, allowLeaks = false, onProgress, signal } = options;
    const index = await readDatasetIndex(data, { task: recipe.task, anyFolder, allowLeaks });
    const store = openVolumeStore(options.store);
    const preparations = preparationsOf(recipe);
    requireUse(recipe, networks);
    const prepared = await prepareDataset({
      index,
      preparations: preparations.map(({ preparation }) => preparation),
      store,
      networks,
      ...(onProgress && { onProgress }),
      ...(signal && { signal }),
    });
    const scans = preparations.map(({ members }, i) => ({ members, scans: prepared.scans[i]! }));
    const near = await guardSplits({
      root: index.root,
      scans: scans[0]!.scans,
      fingerprint: async ({ volume }) => (await store.record(volume!)).fingerprint!,
      allow: allowLeaks,
    });
    const findings = [...index.report.findings, ...prepared.findings, ...near];
    const report: DatasetReport = { ...index.report, findings };
    const { filter, segmenter } = networks;
    const found = { filter: filter?.id ?? 'area', masks: segmenter?.id ?? 'threshold' };
    return { index, scans, report, networks: found };
  });
}

/** @throws {UserError} for a network that has no part in the recipe's volumes. */
function requireUse({ name, volume }: Recipe, { filter, segmenter }: PreparationNetworks) {
  if (filter && volume.slices !== 'lung')
    throw new UserError(`--filter: the recipe ${name} takes all slices`, {
      remedy: 'leave it out, or set volume.slices to lung in the recipe',
    });
  if (segmenter && volume.mask === null && volume.sampling !== 'lung-area')
    throw new UserError(`--masks: the recipe ${name} has no mask`, {
      remedy: 'leave it out, or set volume.mask in the recipe',
    });
}

/**
 * Reads the data set, prepares its volumes and writes plan, data set report and scans into the run folder.
 *
 * @throws UserError for a data set, device list or run folder that will not do.
 */
export async function prepareRun(options: PrepareRunOptions): Promise<PreparedRun> {
  const { data, recipe, run, engine } = options;
  const devices = parseDevices(options.devices, recipe.members.length, thisMachine(engine));
  if (engine === 'cpu' && devices.some(({ kind }) => kind === 'gpu')) {
    throw new UserError(`--devices: ${options.devices} names a GPU, which --engine cpu cannot use`, {
      remedy: 'leave --engine out, or name cpu:1',
    });
  }
  requireLimitable(recipe.engine, devices);
  requireFloat16(recipe, devices, engine);
  const { index, scans, report } = await volumesOf(options, { anyFolder: false });
  const one = scans[0]!.scans;
  for (const split of ['train', 'val'] as const) {
    if (one.some((scan) => scan.split === split && scan.volume !== null)) continue;
    throw new UserError(`no scan of split ${split} could be prepared`, {
      file: data,
      remedy: one.find((scan) => scan.split === split)?.failure ?? `add scans to ${split}/`,
    });
  }
  const plan = makePlan({ recipe, dataset: index, scans, engine, devices: devices.map(deviceName) });
  const state = await adoptPlan(run, plan);
  await writeJson(datasetFile(run), {
    root: index.root,
    task: index.task,
    classes: index.classes,
    ...report,
    scans: one,
  });
  await writeScans(run, scans);
  return { plan, devices, scans, report, state };
}
