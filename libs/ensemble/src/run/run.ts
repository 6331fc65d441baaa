// A run from a folder of scans to trained members: index, volumes, plan, training. What the command line calls.
import { UserError, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import {
  type DatasetIndex,
  type DatasetReport,
  guardSplits,
  NEAR_EQUAL_IN_FOLDS,
  openVolumeStore,
  prepareDataset,
  type PreparationNetworks,
  type PreparationProgress,
  type StoredScan,
  type ValuesChoice,
} from '@ct-ensemble/data';
import type { Device, EngineKind } from '@ct-ensemble/engine';
import { architectureOf, classifierNames, pretrainedFile } from '@ct-ensemble/models';
import { lastCheckpoint } from '@ct-ensemble/training';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { type DatasetChoice, openDataset, splitsTable } from './dataset.ts';
import { deviceName, divideGpuMemory, parseDevices, thisMachine } from './devices.ts';
import { checkFolds, foldsOf, isFolded, withFolds } from './folds.ts';
import { type Expectation, expectMembers, requireMemory } from '../planning/expectations.ts';
import { knownProbe, type Probe } from '../planning/probe.ts';
import type { ProbeSettings } from '../planning/probe-settings.ts';
import { type NetworkChoice, withNetworks } from './networks.ts';
import {
  type AdoptedPlan,
  adoptPlan,
  makePlan,
  type Plan,
  readPlanIfPresent,
  requireSameRecipe,
  requireSameScans,
} from './plan.ts';
import { prepareDraws, requireDraws, type SliceDraws } from './slice-draws.ts';
import { checkBeforePreparation, checkPrepared, startNotes } from './start-checks.ts';
import {
  type RecipeOverrides,
  requireFloat16,
  requireLimitable,
  withOverrides,
} from '../recipes/engine-settings.ts';
import { loadRecipe } from '../recipes/load.ts';
import { preparationsOf, type Recipe } from '../recipes/schema.ts';
import type { Isolation } from '../run-status.ts';
import { datasetFile, doneFile, memberFolder, type MemberScans, splitsFile } from '../run-folder.ts';
import { readAllScans } from '../run-records.ts';

export interface PrepareVolumesOptions extends NetworkChoice, DatasetChoice {
  /** Folder of the data set. */
  data: string;
  recipe: Recipe;
  /** Folder of the volume store. */
  store: string;
  /** What two splits share is a finding and no error. Default: false. */
  allowLeaks?: boolean;
  /** Seconds for the preparation of one scan, see `prepareDataset`. */
  scanDeadline?: number;
  /** What the numbers in the scans' files are. Default: decided for each scan. */
  values?: ValuesChoice;
  onProgress?: (progress: PreparationProgress) => void;
  signal?: AbortSignal;
}

export interface PrepareRunOptions extends PrepareVolumesOptions {
  run: string;
  /** As written in `--devices`. */
  devices: string;
  engine: EngineKind;
  /** Default: thread. */
  isolation?: Isolation;
  /** Prepares further draws of slices of the scans that members predict, for test-time augmentation. Default: none. */
  draws?: DrawsOptions;
  /** Memory in bytes that a member may use, where it is trained on another machine. Default: that of this process. */
  memory?: number;
}

export interface DrawsOptions {
  /** Number of draws, with draw 0, the plain volume. */
  count: number;
  onProgress?: (progress: PreparationProgress) => void;
}

export interface PreparedRun {
  plan: Plan;
  devices: Device[];
  /** What each member needs, as far as `trainer:plan` or the run's own epochs have measured it. */
  expected: Expectation[];
  /** Each member's; all are the same but for their volumes. */
  scans: MemberScans[];
  /** The volumes of further draws of slices; empty if none were asked for. */
  draws: SliceDraws[];
  report: DatasetReport;
  state: AdoptedPlan['state'];
  /** What the user should know before training, a line each. */
  notes: string[];
}

/** Loads a recipe by name or file, checks its architectures and applies what the command line changes in it. */
export async function openRecipe(nameOrFile: string, overrides: RecipeOverrides = {}): Promise<Recipe> {
  const architectures = classifierNames();
  const published = architectures.filter((name) => pretrainedFile(name) !== undefined);
  const minimumEdges = Object.fromEntries(
    architectures.map((name) => [name, architectureOf(name).input.minimumEdge]),
  );
  const recipe = await loadRecipe(nameOrFile, { architectures, published, minimumEdges });
  return withOverrides(recipe, overrides);
}

/** @throws {UserError} if a member is to start from published weights that are missing. */
export function requirePretrained(recipe: Recipe, run: string) {
  for (const { name, architecture, pretrained } of recipe.members) {
    if (!pretrained || existsSync(doneFile(run, name))) continue;
    if (existsSync(lastCheckpoint(memberFolder(run, name)))) continue;
    requirePublished(architecture);
  }
}

/** @throws {UserError} if the published weights of an architecture that has some are missing. */
export function requirePublished(architecture: string) {
  const file = pretrainedFile(architecture)!;
  if (existsSync(file)) return;
  throw new UserError(`the published weights of ${architecture} are missing`, {
    file,
    remedy: `npx nx run weights:fetch -- --architecture ${architecture}, or train with --from-scratch`,
  });
}

/**
 * Reads the data set, or any folder of scans, and prepares the recipe's volumes; volumes that the store has are not prepared
 * again.
 * @throws UserError for a data set that cannot be read.
 */
export function prepareVolumes(options: PrepareVolumesOptions) {
  return volumesOf(options, { anyFolder: true });
}

interface VolumesOptions {
  anyFolder: boolean;
  /** Called before the first volume is prepared; may throw. */
  check?: (index: DatasetIndex) => Promise<void>;
  draws?: DrawsOptions | undefined;
}

async function volumesOf(options: PrepareVolumesOptions, { anyFolder, check, draws }: VolumesOptions) {
  return withNetworks(options, async (networks) => {
    const { recipe, allowLeaks = false, scanDeadline, values, onProgress, signal } = options;
    const index = await openDataset({ ...options, anyFolder, allowLeaks });
    await check?.(index);
    const store = openVolumeStore(options.store);
    const preparations = preparationsOf(recipe);
    requireUse(recipe, networks);
    const asked = {
      index,
      preparations: preparations.map(({ preparation }) => ({
        ...preparation,
        ...(values !== undefined && { values }),
      })),
      store,
      networks,
      ...(scanDeadline !== undefined && { deadline: scanDeadline }),
      ...(signal && { signal }),
    };
    const prepared = await prepareDataset({ ...asked, ...(onProgress && { onProgress }) });
    const folds = isFolded(recipe) ? foldsOf(index.scans, recipe) : undefined;
    const scans = preparations.map(({ members }, i) =>
      memberScans(recipe, { members, scans: prepared.scans[i]!, folds }),
    );
    const near = await guardSplits({
      root: index.root,
      scans: scans[0]!.scans,
      ...(folds && { folds }),
      fingerprint: async ({ volume }) => (await store.record(volume!)).fingerprint!,
      allow: allowLeaks,
      signal,
    });
    const drawn =
      draws === undefined
        ? { draws: [], findings: [] }
        : await prepareDraws({
            ...asked,
            scans,
            draws: draws.count,
            ...(draws.onProgress && { onProgress: draws.onProgress }),
          });
    // What further draws find of a scan's files is mostly what its plain volume has found already.
    const ofPlain = new Set(prepared.findings.map((finding) => JSON.stringify(finding)));
    const ofDraws = drawn.findings.filter((finding) => !ofPlain.has(JSON.stringify(finding)));
    const findings = [...index.report.findings, ...prepared.findings, ...ofDraws, ...near];
    const report: DatasetReport = { ...index.report, findings };
    const { filter, segmenter } = networks;
    const found = { filter: filter?.id ?? 'area', masks: segmenter?.id ?? 'threshold' };
    return { index, scans, draws: drawn.draws, report, networks: found };
  });
}

/** The scans of these members; where members are trained by fold, with the folds of both. */
function memberScans(
  recipe: Recipe,
  {
    members,
    scans,
    folds,
  }: { members: string[]; scans: readonly StoredScan[]; folds: ReadonlyMap<string, number> | undefined },
): MemberScans {
  if (folds === undefined) return { members, scans: [...scans] };
  const own = recipe.members.filter(({ name }) => members.includes(name));
  return {
    members,
    scans: withFolds(scans, folds),
    folds: Object.fromEntries(own.map(({ name, fold }) => [name, fold!])),
  };
}

/** @throws {UserError} for a network that the recipe's volumes do not use. */
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
 * The devices of a run, with the shares of GPUs on which several members train at once.
 * @throws UserError for a list of devices that the recipe or the engine cannot use.
 */
export async function openDevices(
  options: Pick<PrepareRunOptions, 'recipe' | 'devices' | 'engine' | 'isolation'>,
): Promise<Device[]> {
  const { recipe, engine, isolation } = options;
  const machine = { ...thisMachine(engine), processes: isolation === 'process' };
  const devices = parseDevices(options.devices, recipe.members.length, machine);
  if (engine === 'cpu' && devices.some(({ kind }) => kind === 'gpu')) {
    throw new UserError(`--devices: ${options.devices} names a GPU, which --engine cpu cannot use`, {
      remedy: 'leave --engine out, or name cpu:1',
    });
  }
  requireLimitable(recipe.engine, devices);
  requireFloat16(recipe, devices, engine);
  // A limit in the recipe divides the GPUs as it says.
  return recipe.engine?.memoryLimit === undefined ? divideGpuMemory(devices) : devices;
}

/**
 * Reads the data set, prepares its volumes and writes plan, data set report, splits and scans into the run folder.
 *
 * @throws UserError for a data set, device list or run folder that cannot be used.
 */
export async function prepareRun(options: PrepareRunOptions): Promise<PreparedRun> {
  const { data, recipe, run, engine } = options;
  if (options.draws) requireDraws(recipe);
  const devices = await openDevices(options);
  const old = await readPlanIfPresent(run);
  if (old !== undefined) requireSameRecipe(old, { run, recipe });
  let expected: Expectation[] = [];
  const { index, scans, draws, report } = await volumesOf(options, {
    anyFolder: false,
    draws: options.draws,
    async check(index) {
      ({ expected } = await checkIndex(index, { ...options, devices, old }));
    },
  });
  const one = scans[0]!.scans;
  const { classes } = index;
  checkPrepared({ root: data, classes, scans });
  const foldNotes = checkFolds(scans, { root: data, classes, folds: recipe.folds });
  const labels = options.labels ?? null;
  const dataset = { ...index, labels };
  const made = makePlan({ recipe, dataset, scans, engine, devices: devices.map(deviceName) });
  const isSameVolume = sameVolumes(options.store);
  const { plan, state, notes } = await adoptPlan(run, made, { scans, isSameVolume });
  await writeJson(datasetFile(run), {
    root: index.root,
    layout: index.layout,
    labels,
    classes: index.classes,
    splits: index.splits,
    ...report,
    scans: one,
  });
  await writeFileAtomic(splitsFile(run), splitsTable(index, recipe));
  const nearInFolds = report.findings.filter(({ kind }) => kind === NEAR_EQUAL_IN_FOLDS).length;
  return {
    plan,
    devices,
    expected,
    scans,
    draws,
    report,
    state,
    notes: [
      ...notes,
      ...startNotes(recipe, scans),
      ...foldNotes,
      ...(nearInFolds === 0
        ? []
        : [
            `${nearInFolds} pairs of nearly equal scans are in two folds each, which makes out-of-fold scores too good: see ${datasetFile(run)}`,
          ]),
    ],
  };
}

/** Checks an index before any volume is prepared. */
async function checkIndex(
  index: DatasetIndex,
  {
    recipe,
    run,
    engine,
    memory,
    devices,
    old,
  }: Omit<PrepareRunOptions, 'devices' | 'store'> & { devices: Device[]; old: Plan | undefined },
) {
  const folds = isFolded(recipe) ? foldsOf(index.scans, recipe) : undefined;
  const scans = withFolds(index.scans, folds);
  const root = index.root;
  checkBeforePreparation({
    recipe,
    index: { root, scans },
    devices,
    ...(memory !== undefined && { memory }),
  });
  const expected = await expectMembers({ recipe, index, devices, engine, run, probeOf: known });
  requireMemory(expected, { devices, ...(memory !== undefined && { hostMemory: memory }) });
  if (old === undefined) return { expected, same: undefined };
  const members = recipe.members.map(({ name }) => name);
  const { classes } = index;
  const same = await requireSameScans(old, { run, classes, scans: [{ members, scans }] });
  return { expected, same };
}

export interface CheckedRun {
  /** Folder of the data set. */
  root: string;
  /** As in `PreparedRun`. */
  expected: Expectation[];
  /** Whether `prepareRun` would change nothing, as far as that can be known without reading the scans. */
  isPrepared: boolean;
  /** Whether test scans differ from those of the run, so that trained members have to predict them again. */
  hasNewTestScans: boolean;
}

/**
 * Checks all that `prepareRun` checks before it prepares the first volume; writes nothing. For a run that is prepared and
 * trained on another machine.
 *
 * @throws UserError for a data set, device list or run folder that cannot be used.
 */
export async function checkRun(
  options: Omit<PrepareRunOptions, 'draws' | 'onProgress'>,
): Promise<CheckedRun> {
  const { recipe, run, engine, store, allowLeaks = false } = options;
  const devices = await openDevices(options);
  const old = await readPlanIfPresent(run);
  if (old !== undefined) requireSameRecipe(old, { run, recipe });
  const index = await openDataset({ ...options, anyFolder: false, allowLeaks });
  await withNetworks(options, async (networks) => requireUse(recipe, networks));
  const { expected, same } = await checkIndex(index, { ...options, devices, old });
  const isPrepared =
    old !== undefined &&
    same?.isCompared === true &&
    same.test.length === 0 &&
    old.engine === engine &&
    resolve(old.dataset.root) === resolve(index.root) &&
    isDeepStrictEqual(old.recipe, JSON.parse(JSON.stringify(recipe))) &&
    (await hasVolumes(store, run));
  return { root: index.root, expected, isPrepared, hasNewTestScans: (same?.test.length ?? 0) > 0 };
}

/** Whether the store has every volume of the run. */
async function hasVolumes(store: string, run: string): Promise<boolean> {
  const all = await readAllScans(run).catch(() => undefined);
  const volumes = new Set(all?.flatMap(({ scans }) => scans.flatMap(({ volume }) => volume ?? [])));
  return all !== undefined && [...volumes].every((volume) => existsSync(join(store, `${volume}.npy`)));
}

/** What is known of a member without measuring it. */
async function known(settings: ProbeSettings): Promise<Probe | undefined> {
  const result = await knownProbe(settings);
  return result && { result };
}

/** Compares volumes by the SHA-256 in their records; volumes that the store no longer has are not equal to any. */
function sameVolumes(folder: string) {
  const store = openVolumeStore(folder);
  const digestOf = (volume: string) =>
    store.record(volume).then(
      ({ sha256 }) => sha256,
      () => null,
    );
  return async (old: string, now: string) => {
    const digest = await digestOf(old);
    return digest !== null && digest === (await digestOf(now));
  };
}
