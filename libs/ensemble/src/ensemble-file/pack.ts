// Packs the trained members of a run into an ensemble file.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { messageOf, readJson, readRegularFile, sha256OfFile, UserError } from '@ct-ensemble/core';
import {
  mapConcurrent,
  type LungSegmenter,
  openVolumeStore,
  type Preparation,
  PREPARATION_VERSION,
  settingsOf,
  type SliceFilter,
  statisticsOf,
  type VolumeStore,
} from '@ct-ensemble/data';
import { cacheFolder, type EngineKind } from '@ct-ensemble/engine';
import { fitWeights, weightedMeanOf } from '@ct-ensemble/evaluation';
import {
  asFloat16,
  describing,
  digestOfTensors,
  encodeSafetensors,
  readSafetensors,
  type StoredTensor,
  type StoredTensorOf,
  type StoredTensors,
  withDigests,
} from '@ct-ensemble/models';
import { requireBest } from '@ct-ensemble/training';
import { z } from 'zod';
import { didYouMean } from '../names.ts';
import { startNetworks } from '../prediction/network-thread.ts';
import { preparationsOf } from '../recipes/schema.ts';
import { readMembers, type UsableMember } from '../results/members.ts';
import { foldedMembers, outOfFold } from '../results/out-of-fold.ts';
import { meanProbabilities, predictions, type Probabilities } from '../results/probabilities.ts';
import { readRunScans, type RunScans } from '../results/run-scans.ts';
import { parseDevices, thisMachine } from '../run/devices.ts';
import { isFolded } from '../run/folds.ts';
import { type MemberPlan, type Plan, readPlan } from '../run/plan.ts';
import { datasetFile, memberFolder, type MemberScans } from '../run-folder.ts';
import { readRecord } from '../json-record.ts';
import { historyOf, readConfig, readDone, scansOf } from '../run-records.ts';
import { asPredictions, withRows } from '../results/combination.ts';
import { labelled, readPatients } from '../results/patients.ts';
import { calibrationOf, ensembleScores } from './calibration.ts';
import { type ContainerEntry, sha256Of, writeContainer } from './container.ts';
import { rangesOf, VALUE_FINDINGS } from './likeness.ts';
import { FORMAT_VERSION, type Manifest, type ManifestMember } from './manifest.ts';
import { modelCard } from './model-card.ts';

export interface PackOptions {
  /** Folder of the run. */
  run: string;
  /** The ensemble file that is written. */
  out: string;
  /** Name of the submission whose members are packed. Default: all members of the run. */
  submission?: string;
  /** `weighted`: with the weights of the least log loss on the validation scans. Default `mean`. */
  combination?: 'mean' | 'weighted';
  /** Stores convolutions and matrices in half precision, and measures what this changes. Default: false. */
  float16?: boolean;
  /** Folder of the volume store that the run was trained from. Default: volumes in the user's cache folder. */
  volumes?: string;
  /** Weights files of the networks that the run's preparation used. */
  filter?: string;
  masks?: string;
  /** Device on which the difference of float16 is measured, as in `OpenEnsembleOptions`. */
  device?: string;
  engine?: EngineKind;
  /** Reports what is being done, a line each time. */
  onProgress?: (what: string) => void;
}

/** What was packed. */
export interface Packed {
  file: string;
  bytes: number;
  /** As `Ensemble.id`. */
  id: string;
  manifest: Manifest;
}

/** What the steps of packing share. */
interface Context {
  options: PackOptions;
  plan: Plan;
  scans: RunScans;
  groups: MemberScans[];
  store: VolumeStore;
  /** The packed members, in the plan's order, with their probabilities. */
  members: (UsableMember & { plan: MemberPlan })[];
}

/**
 * Packs a run's members, the networks of its preparation and everything that an answer needs into one file. The same run gives the
 * same bytes.
 * @throws {UserError} if a member is not trained or its files are damaged, the store lacks the run's volumes, or a network's file
 * is not the one that the run used.
 */
export async function packEnsemble(options: PackOptions): Promise<Packed> {
  const context = await contextOf(options);
  const { plan, members } = context;
  const { recipe, dataset } = plan;
  const { onProgress = () => {}, float16 = false } = options;
  const preparation = await preparationOf(context);
  const isByFold = isFolded(recipe);
  const patients = await readPatients(options.run);
  const weights = combinationWeights(context, patients);
  const validation = combined(context, members, weights);
  const calibrationScans = labelled(validation, patients);
  if (calibrationScans === null)
    throw new UserError('has no labelled scan that its members can be judged by', {
      file: options.run,
      remedy: 'pack a run whose validation scans have classes',
    });
  const testMean = mixed(
    members.map(({ probabilities }) => probabilities.test!),
    { names: members.map(({ name }) => name), weights },
  );
  const test = labelled(testMean, patients);
  onProgress('reading the volumes of the training scans');
  const training = await trainingOf(context, preparation.described.volumes[0]!);
  const packed = await weightsOf(context, { float16, preparation });
  const history = await mapConcurrent(members, 16, async ({ name }) => {
    const config = await readConfig(options.run, name);
    return config === undefined ? [] : historyOf(config);
  });
  const batch = (split: 'val' | 'test') =>
    Math.max(1, Math.min(recipe.training.batchSize, members[0]!.probabilities[split]!.scans.length));
  const manifest: Omit<Manifest, 'entries'> = {
    format: 'ct-ensemble',
    version: FORMAT_VERSION,
    name: options.submission ?? recipe.name,
    classes: dataset.classes,
    members: packed.members,
    preparation: { version: PREPARATION_VERSION, ...preparation.described },
    combination: { method: weights === null ? 'mean' : 'weighted', weights },
    engine: {
      precision: recipe.training.precision ?? 'float32',
      ...(recipe.engine?.tf32 !== undefined && { tf32: recipe.engine.tf32 }),
      ...(recipe.engine?.deterministic !== undefined && { deterministic: recipe.engine.deterministic }),
      trainedWith: [...new Set(history.flat().map(inWords))],
    },
    batches: { val: batch('val'), test: batch('test') },
    calibration: calibrationOf(calibrationScans, isByFold ? 'out-of-fold' : 'validation'),
    scores: {
      calibration: ensembleScores(calibrationScans),
      test: test === null ? null : ensembleScores(test),
    },
    training,
    weights: { type: float16 ? 'float16' : 'float32', difference: null },
    run: { recipe: recipe.name, task: recipe.task ?? null, dataset: dataset.digest },
    packedWith: { ctEnsemble: await versionOf() },
  };
  if (float16) {
    onProgress('measuring what half precision changes');
    manifest.weights.difference = await differenceOf(context, {
      manifest: { ...manifest, entries: [] },
      entries: packed.entries,
      weights,
      before: validation,
    });
  }
  onProgress('writing the file');
  const others: ContainerEntry[] = [
    { name: 'README.md', bytes: Buffer.from(modelCard(manifest)) },
    { name: 'recipe.json', bytes: Buffer.from(`${JSON.stringify(recipe, null, 2)}\n`) },
    ...packed.entries,
  ];
  const complete: Manifest = {
    ...manifest,
    entries: others.map(({ name, bytes }) => ({ name, bytes: bytes.length, sha256: sha256Of(bytes) })),
  };
  const text = Buffer.from(`${JSON.stringify(complete, null, 2)}\n`);
  const entries = [{ name: 'manifest.json', bytes: text }, ...others];
  await writeContainer(options.out, entries);
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes.length, 0);
  return { file: options.out, bytes, id: sha256Of(text), manifest: complete };
}

async function contextOf(options: PackOptions): Promise<Context> {
  const { run, submission } = options;
  const plan = await readPlan(run);
  const scans = await readRunScans(run, plan);
  const found = await readMembers(run, plan, { scans, splits: ['val', 'test'] });
  const known = plan.recipe.submissions;
  const chosen = known.find(({ name }) => name === submission);
  if (submission !== undefined && chosen === undefined) {
    const names = known.map(({ name }) => name);
    throw new UserError(`has no submission ${submission}${didYouMean(submission, names)}`, {
      file: run,
      remedy: `choose one of ${names.join(', ')}`,
    });
  }
  const wanted = chosen?.members ?? plan.members.map(({ name }) => name);
  const [unusable] = found.unusable.filter(({ member }) => wanted.includes(member));
  if (unusable !== undefined) throw new UserError(unusable.problem);
  const missing = wanted.filter((name) => found.missing.includes(name));
  if (missing.length > 0)
    throw new UserError(`the members ${missing.join(', ')} are not trained`, {
      file: run,
      remedy:
        'train them with nx run trainer:all-members, or name a submission of trained members with --submission',
    });
  const members = plan.members
    .filter(({ name }) => wanted.includes(name))
    .map((member) => ({ ...found.usable.find(({ name }) => name === member.name)!, plan: member }));
  const store = openVolumeStore(options.volumes ?? join(cacheFolder(), 'volumes'));
  return { options, plan, scans, groups: scans.groups, store, members };
}

/** The kinds of volumes that the packed members see, as the store's records name them, and the networks that made them. */
async function preparationOf(context: Context) {
  const { plan, members, groups, store, options } = context;
  const wanted = members.map(({ name }) => name);
  const kinds = preparationsOf(plan.recipe)
    .map(({ preparation, members: own }) => ({
      preparation,
      members: own.filter((name) => wanted.includes(name)),
    }))
    .filter(({ members: own }) => own.length > 0);
  const networks: Pick<Manifest['preparation'], 'filter' | 'segmenter'> = { filter: null, segmenter: null };
  const entries: ContainerEntry[] = [];
  const volumes: Manifest['preparation']['volumes'] = [];
  for (const { preparation, members: own } of kinds) {
    const { scans } = groups.find((group) => group.members.includes(own[0]!))!;
    const usable = scans.find(({ volume }) => volume !== null)!;
    const { preparation: made } = await fromStore(options, () => store.record(usable.volume!));
    if (made.version !== PREPARATION_VERSION)
      throw new UserError(
        `its volumes were prepared by version ${made.version} of the preparation, this program has version ${PREPARATION_VERSION}`,
        {
          file: options.run,
          remedy: 'pack it with the version of the program that trained it, or train it anew',
        },
      );
    const kind: Preparation = { ...preparation, ...(made.values !== undefined && { values: made.values }) };
    for (const [name, id, given] of [
      ['filter', made.filter, options.filter],
      ['segmenter', made.segmenter, options.masks],
    ] as const) {
      const entry = await networkOf({ name, id, given, run: options.run });
      if (entry === null || networks[name] !== null) continue;
      networks[name] = { weights: entry.name, id: id! };
      entries.push(entry);
    }
    // The settings that this program would give these volumes must be those that they were made with.
    const stub = { keep: never, edge: 0, masks: never };
    const same = settingsOf(kind, {
      ...(networks.filter && { filter: { id: networks.filter.id, ...stub } as SliceFilter }),
      ...(networks.segmenter && { segmenter: { id: networks.segmenter.id, ...stub } as LungSegmenter }),
    });
    if (JSON.stringify(same) !== JSON.stringify(made))
      throw new UserError('its volumes were made with other settings than its recipe says', {
        file: options.run,
        remedy: 'start the training of this run again, which prepares them anew',
      });
    volumes.push(kind as Manifest['preparation']['volumes'][number]);
  }
  const volumeOf = (member: string) => kinds.findIndex(({ members: own }) => own.includes(member));
  return { described: { volumes, ...networks }, entries, volumeOf };
}

const never = () => Promise.reject(new Error('not used'));

/** The weights of a network that the preparation used, as an entry; null if it used none. */
async function networkOf({
  name,
  id,
  given,
  run,
}: {
  name: 'filter' | 'segmenter';
  id: string | null;
  given: string | undefined;
  run: string;
}): Promise<ContainerEntry | null> {
  const option = name === 'filter' ? '--filter' : '--masks';
  const isNetwork = id !== null && id !== 'area' && id !== 'threshold';
  if (!isNetwork) {
    if (given !== undefined)
      throw new UserError(`${option} ${given}: the volumes of this run were made without this network`, {
        file: run,
        remedy: 'leave it out',
      });
    return null;
  }
  if (given === undefined)
    throw new UserError(`its volumes were made with the network ${id}`, {
      file: run,
      remedy: `give its weights file with ${option} FILE`,
    });
  const digest = await sha256OfFile(given);
  if (!id.includes(digest))
    throw new UserError(
      `is not the network that the run's volumes were made with: its SHA-256 is ${digest}`,
      {
        file: given,
        remedy: `give the file of ${id}`,
      },
    );
  const kind = name === 'filter' ? 'slice-filter' : 'lung-segmenter';
  return { name: `networks/${kind}.safetensors`, bytes: await readRegularFile(given) };
}

async function fromStore<T>({ run, volumes }: PackOptions, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new UserError(`the volumes of this run are needed and are not in the store (${messageOf(error)})`, {
      file: run,
      remedy: `name the store with --volumes${volumes === undefined ? '' : ', or prepare them again with nx run trainer:prepare'}`,
      cause: error,
    });
  }
}

/** Mean or weighted mean of members' probabilities of the same scans. */
function mixed(
  parts: readonly Probabilities[],
  { names, weights }: { names: readonly string[]; weights: readonly number[] | null },
): Probabilities {
  const mean = meanProbabilities(parts, names);
  if (weights === null || mean.rows.length === 0) return mean;
  return withRows(mean, weightedMeanOf(parts.map(asPredictions), weights));
}

/** The weights of the combination, fitted on the validation scans; null for the mean. */
function combinationWeights(
  { options, plan, members }: Context,
  patients: ReadonlyMap<string, string>,
): number[] | null {
  if (options.combination !== 'weighted') return null;
  if (isFolded(plan.recipe))
    throw new UserError(
      '--combination weighted: its members are trained by fold and have no validation scans in common',
      {
        file: options.run,
        remedy: 'leave it out, for the mean',
      },
    );
  const parts = members.map(({ probabilities }) => labelled(probabilities.val!, patients));
  return fitWeights(parts.map((part) => part!)).weights;
}

/** What the ensemble says of the scans that its members were not trained on: out of fold, or the validation scans. */
function combined(
  { plan, scans }: Pick<Context, 'plan' | 'scans'>,
  members: readonly Pick<UsableMember, 'name' | 'probabilities'>[],
  weights: readonly number[] | null,
): Probabilities {
  if (!isFolded(plan.recipe))
    return mixed(
      members.map(({ probabilities }) => probabilities.val!),
      { names: members.map(({ name }) => name), weights },
    );
  return outOfFold(foldedMembers(plan, members), scans.inFolds);
}

/** The numbers of the training scans with which new scans are compared. */
async function trainingOf(
  { plan, members, groups, store, options }: Context,
  preparation: Manifest['preparation']['volumes'][number],
): Promise<Manifest['training']> {
  const { scans } = groups.find((group) => group.members.includes(members[0]!.name))!;
  const isTraining = isFolded(plan.recipe)
    ? ({ split }: { split: string }) => split !== 'test'
    : ({ split }: { split: string }) => split === 'train';
  const usable = scans.filter((scan) => isTraining(scan) && scan.volume !== null);
  const statistics = [];
  for (const { volume, slices, kept } of usable)
    statistics.push(
      statisticsOf(await fromStore(options, () => store.read(volume!)), {
        slices,
        kept,
        isMasked: preparation.mask !== null,
      }),
    );
  const findings = await readRecord(datasetFile(options.run), {
    schema: z.looseObject({ findings: z.array(z.looseObject({ kind: z.string() })) }),
    remedy: 'start the training of this run again, which writes the file anew',
  });
  const kinds = new Set(findings?.findings.map(({ kind }) => kind));
  return {
    scans: usable.length,
    perClass: plan.dataset.classes.map((_, k) => usable.filter(({ label }) => label === k).length),
    ranges: rangesOf(statistics),
    valueFindings: VALUE_FINDINGS.filter((kind) => kinds.has(kind)),
  };
}

/** The members of the manifest, and the entries of all weights. */
async function weightsOf(
  { options: { run }, plan, members }: Context,
  { float16, preparation }: { float16: boolean; preparation: Awaited<ReturnType<typeof preparationOf>> },
) {
  const entries: ContainerEntry[] = [];
  const described: ManifestMember[] = [];
  for (const { name, plan: member } of members) {
    const done = (await readDone(run, name))!;
    const { file, sha256 } = await requireBest(memberFolder(run, name), done);
    const { tensors } = await readSafetensors(file);
    const stored = float16 ? inHalf(tensors, file) : tensors;
    const views = member.views.map(({ depth }) => depth);
    const { height, width } = member.views[0]!;
    const metadata = describing({
      architecture: member.architecture,
      views,
      classes: plan.dataset.classes,
      size: [height, width],
      recipe: plan.recipe.name,
    });
    const parts = encodeSafetensors(stored, withDigests(metadata, digestOfTensors(stored)));
    const weights = `members/${name}.safetensors`;
    entries.push({ name: weights, bytes: Buffer.concat(parts) });
    described.push({
      name,
      architecture: member.architecture,
      seed: member.seed,
      fold: member.fold ?? null,
      pretrained: member.pretrained,
      views,
      volume: preparation.volumeOf(name),
      weights,
      checkpoint: sha256,
      bestEpoch: done.bestEpoch,
      macroF1: done.macroF1,
    });
  }
  return { members: described, entries: [...entries, ...preparation.entries] };
}

/** Convolutions and matrices in half precision; vectors, such as the statistics of normalisations, stay as they are. */
function inHalf(tensors: StoredTensors, file: string): Map<string, StoredTensor> {
  return new Map(
    [...tensors].map(([name, tensor]) => {
      if (tensor.dtype !== 'F32' || tensor.shape.length < 2) return [name, tensor];
      try {
        return [name, asFloat16(tensor as StoredTensorOf<'F32'>)];
      } catch (error) {
        throw new UserError(`${name}: ${messageOf(error)}`, { file, remedy: 'pack it without --float16' });
      }
    }),
  );
}

/** Predicts the validation scans with the packed weights, and compares them with the run's own probabilities. */
async function differenceOf(
  context: Context,
  {
    manifest,
    entries,
    weights,
    before,
  }: {
    manifest: Manifest;
    entries: readonly ContainerEntry[];
    weights: readonly number[] | null;
    before: Probabilities;
  },
): Promise<NonNullable<Manifest['weights']['difference']>> {
  const { options, members, groups, store } = context;
  const { run, engine = 'tensorflow' } = options;
  const places: { name: string; offset: number; length: number }[] = [];
  const buffer = new ArrayBuffer(
    entries.reduce((sum, { bytes }) => sum + Math.ceil(bytes.length / 8) * 8, 0),
  );
  let offset = 0;
  for (const { name, bytes } of entries) {
    new Uint8Array(buffer, offset, bytes.length).set(bytes);
    places.push({ name, offset, length: bytes.length });
    offset += Math.ceil(bytes.length / 8) * 8;
  }
  const [device] = parseDevices(options.device ?? 'auto', 1, thisMachine(engine));
  const networks = await startNetworks({
    file: run,
    manifest,
    buffer,
    weights: places,
    engine,
    device: device!,
  });
  try {
    const volumesOf = members.map(({ name }) => {
      const own = scansOf(groups, { run, member: name });
      return new Map(own.map(({ key, volume }) => [key, volume]));
    });
    const first = manifest.preparation.volumes.map((_, v) =>
      manifest.members.findIndex(({ volume }) => volume === v),
    );
    const keys = [
      ...new Set(members.flatMap(({ probabilities }) => probabilities.val!.scans.map(({ key }) => key))),
    ];
    const rows = new Map<string, number[][]>();
    const step = manifest.batches.val;
    for (let at = 0; at < keys.length; at += step) {
      const part = keys.slice(at, at + step);
      const scans = [];
      for (const key of part) {
        const volumes = first.map((member) => volumesOf[member]!.get(key)!);
        const read = [];
        for (const volume of volumes) read.push((await fromStore(options, () => store.read(volume))).data);
        scans.push(read);
      }
      const answers = await networks.ask('predict', { scans, batchSize: step });
      part.forEach((key, i) => rows.set(key, answers[i]!));
    }
    let largest = 0;
    const halved = members.map((member, m) => {
      const val = member.probabilities.val!;
      const own = val.scans.map(({ key }) => rows.get(key)![m]!);
      largest = Math.max(largest, greatest(own, val.rows));
      return { ...member, probabilities: { ...member.probabilities, val: { ...val, rows: own } } };
    });
    const after = combined(context, halved, weights);
    const [then, now] = [predictions(before), predictions(after)];
    return {
      scans: before.rows.length,
      members: largest,
      ensemble: greatest(after.rows, before.rows),
      changedClasses: now.filter((label, i) => label !== then[i]).length,
      device: networks.engine,
    };
  } finally {
    await networks.close();
  }
}

/** The greatest difference of two lists of rows. */
function greatest(a: readonly number[][], b: readonly number[][]): number {
  return a.reduce(
    (most, row, i) => row.reduce((sofar, value, k) => Math.max(sofar, Math.abs(value - b[i]![k]!)), most),
    0,
  );
}

const inWords = ({ engine, device, node, versions }: ReturnType<typeof historyOf>[number]) =>
  `${engine === 'tensorflow' ? 'TensorFlow' : 'tfjs'} ${Object.values(versions).join(', ')} on ${device}, Node ${node}`;

async function versionOf(): Promise<string> {
  const file = fileURLToPath(new URL('../../package.json', import.meta.url));
  return ((await readJson(file)) as { version: string }).version;
}
