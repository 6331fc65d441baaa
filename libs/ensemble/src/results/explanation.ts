// Explains what the trained members of a run answer for its scans: which slices speak for a class, and where.
import { relative } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import {
  drawExplanation,
  type ExplainedSlice,
  type GreyImage,
  openVolumeStore,
  type ScanEntry,
  type Volume,
} from '@ct-ensemble/data';
import { type EngineKind, openEngine } from '@ct-ensemble/engine';
import {
  buildModel,
  type CamMethod,
  type Explanation,
  explainVolume,
  loadWeights,
  type Model,
  rankOf,
  shownMap,
  type ValueMap,
} from '@ct-ensemble/models';
import { requireBest } from '@ct-ensemble/training';
import { didYouMean } from '../names.ts';
import { openDataset } from '../run/dataset.ts';
import { type MemberPlan, type Plan, readPlan } from '../run/plan.ts';
import { doneFile, memberFolder, type MemberScans, type RunScan } from '../run-folder.ts';
import { readAllScans, readDone } from '../run-records.ts';

export interface ExplainRunOptions {
  /** Folder of the run. */
  run: string;
  /** Folder of the prepared volumes. */
  store: string;
  /** Keys or names of scans. Default: the first four test scans, or validation scans if there are none. */
  scans?: readonly string[];
  /** Names of members. Default: those that are trained and have not seen the scan in their training; else all trained ones. */
  members?: readonly string[];
  /** Default: `grad-cam`. */
  method?: CamMethod;
  /** The class that is explained. Default: the class that the mean of the members' probabilities predicts. */
  className?: string;
  /** Default: `tensorflow`. */
  engine?: EngineKind;
}

/** A slice of the scan that is in the volume, and how much it speaks for the class. */
export interface SliceScore {
  /** Position among the scan's slices, from 0, as in the record of the volume. */
  position: number;
  /** The slice's own file, relative to the data set, if the scan has one file a slice and the data set is there. */
  file: string | null;
  /** In units of the class's logit: the sum over all places of the volume that this slice takes. */
  score: number;
  /** Places in the volume, from 0; with two views those of the second view follow those of the first. */
  places: number[];
}

export interface MemberExplanation {
  member: string;
  /** [classes]. */
  probabilities: number[];
  logits: number[];
  /** Whether the member was trained on this scan: its answer then says little about new scans. */
  trainedOn: boolean;
  /** Scores of the volume's places, [depth of all views]. */
  placeScores: number[];
}

/** What is written as JSON for one scan. */
export interface ScanExplanation {
  scan: string;
  split: string;
  /** The scan's true class; null if it is not known. */
  label: string | null;
  classes: string[];
  /** The class that is explained, and the mean of the members' probabilities, [classes]. */
  explained: string;
  probabilities: number[];
  method: CamMethod;
  /** The slices by their mean score over the members, the greatest first. */
  slices: SliceScore[];
  members: MemberExplanation[];
}

/** The maps that the pictures of a scan show. */
export interface ScanMaps {
  volume: Volume;
  /** Mean over the members of the shown maps of the last features, at the size of a slice, from 0 to 1. */
  features: ValueMap;
  /** Mean over the members of the slices' maps, C order [depth of all views, height, width]; its sums are the scores. */
  places: Float64Array;
}

export interface ExplainedScan {
  explanation: ScanExplanation;
  maps: ScanMaps;
  /** The same of each member alone, if there are several. */
  byMember: { member: string; explanation: ScanExplanation; maps: ScanMaps }[];
  /** What the reader should know, one line each. */
  findings: string[];
}

/**
 * Explains the scans one after the other. Members of folds explain by default the scans of their own fold and test scans, which
 * they were not trained on. The volumes must be in the store.
 * @throws {UserError} for a run without trained members, unknown scans, members or classes, and missing volumes or weights.
 */
export async function* explainRun(options: ExplainRunOptions): AsyncGenerator<ExplainedScan> {
  const { run, engine: kind = 'tensorflow', method = 'grad-cam', className } = options;
  const plan = await readPlan(run);
  const { classes } = plan.dataset;
  const target = className === undefined ? undefined : classIndex(className, classes);
  const groups = await readAllScans(run);
  const scans = chosenScans(groups[0]!.scans, options.scans);
  const trained = await trainedMembers(run, plan, options.members);
  const files = await filesOf(plan);
  const engine = await openEngine({ engine: kind });
  const models = new LoadedModels(run, classes.length);
  try {
    for (const { key } of scans)
      yield await explainScan({ ...options, key, target, method, plan, groups, trained, files, models });
  } finally {
    models.dispose();
    engine.close();
  }
}

interface ScanOptions extends Omit<ExplainRunOptions, 'method'> {
  key: string;
  target: number | undefined;
  method: CamMethod;
  plan: Plan;
  groups: readonly MemberScans[];
  trained: readonly MemberPlan[];
  files: ScanFiles;
  models: LoadedModels;
}

async function explainScan(options: ScanOptions): Promise<ExplainedScan> {
  const { key, plan, groups, trained, files, models, method } = options;
  const store = openVolumeStore(options.store);
  const { classes } = plan.dataset;
  const scanFor = ({ name }: MemberPlan) =>
    groups.find(({ members }) => members.includes(name))!.scans.find((scan) => scan.key === key)!;
  const first = scanFor(trained[0]!);
  const unseen = trained.filter((member) => !isTrainedOn(member, first));
  const members = options.members !== undefined || unseen.length === 0 ? trained : unseen;
  const inputs = await Promise.all(
    members.map(async (member) => {
      const { volume: content, failure } = scanFor(member);
      if (content === null)
        throw new UserError(`scan ${key} has no volume: ${failure}`, { remedy: 'choose another scan' });
      return { member, volume: await store.read(content), record: await store.record(content) };
    }),
  );
  const explained = async (target: number | undefined) => {
    const answers: { member: MemberPlan; answer: Explanation }[] = [];
    for (const { member, volume } of inputs) {
      const model = await models.of(member);
      const answer = await explainVolume(model, volume, { method, ...(target !== undefined && { target }) });
      answers.push({ member, answer });
    }
    return answers;
  };
  let answers = await explained(options.target);
  const probabilities = meanOf(answers.map(({ answer }) => softmax(answer.logits)));
  const target = options.target ?? probabilities.indexOf(Math.max(...probabilities));
  if (answers.some(({ answer }) => answer.target !== target)) answers = await explained(target);
  const about = { method, target, classes, scan: first, files };
  const parts = answers.map(({ member, answer }, i) => {
    const { volume, record } = inputs[i]!;
    const { height, width } = volume;
    const features = resized(shownMap(answer.map), { height, width });
    const places = joined(answer.views.map(({ maps }) => maps));
    const own: MemberExplanation = {
      member: member.name,
      probabilities: softmax(answer.logits),
      logits: answer.logits,
      trainedOn: isTrainedOn(member, first),
      placeScores: answer.views.flatMap(({ scores }) => scores),
    };
    return { own, sources: record.sources, maps: { volume, features, places } };
  });
  const whole = combined(parts, about);
  const seen = parts.filter(({ own }) => own.trainedOn).map(({ own }) => own.member);
  return {
    ...whole,
    byMember:
      parts.length === 1
        ? []
        : parts.map((part) => ({ member: part.own.member, ...combined([part], about) })),
    findings: [
      ...(seen.length === 0 ? [] : [`${key}: trained on this scan: ${seen.join(', ')}`]),
      ...(files.problem === null ? [] : [files.problem]),
    ],
  };
}

interface Part {
  own: MemberExplanation;
  /** For each place of the volume the slice that it was made of. */
  sources: readonly number[];
  maps: ScanMaps;
}

interface About {
  method: CamMethod;
  target: number;
  classes: readonly string[];
  scan: RunScan;
  files: ScanFiles;
}

/** The mean over some members. */
function combined(
  parts: readonly Part[],
  { method, target, classes, scan, files }: About,
): { explanation: ScanExplanation; maps: ScanMaps } {
  const { sources, maps } = parts[0]!;
  const { height, width } = maps.features;
  const placeScores = meanOf(parts.map(({ own }) => own.placeScores));
  const slices = [...new Set(sources)].map((position): SliceScore => {
    const places = sources.flatMap((source, place) => (source === position ? [place] : []));
    const score = places.reduce((sum, place) => sum + placeScores[place]!, 0);
    return { position, file: files.of(scan.key, position), score, places };
  });
  return {
    explanation: {
      scan: scan.key,
      split: scan.split,
      label: scan.label === null ? null : classes[scan.label]!,
      classes: [...classes],
      explained: classes[target]!,
      probabilities: meanOf(parts.map(({ own }) => own.probabilities)),
      method,
      slices: rankOf(slices.map(({ score }) => score)).map((i) => slices[i]!),
      members: parts.map(({ own }) => own),
    },
    maps: {
      volume: maps.volume,
      features: { height, width, data: meanOfMaps(parts.map((part) => part.maps.features.data)) },
      places: meanOfMaps(parts.map((part) => part.maps.places)),
    },
  };
}

/**
 * Draws the most representative slices of an explained scan as a PNG: each slice in grey, below it the map of the last features
 * over it, and the slice's own map, smoothed, because the gradients of strides and maximum pools differ from pixel to pixel.
 * Negative values are not drawn. The slices' maps share one scale, up to the greatest value among all slices of the volume.
 */
export function drawScanExplanation(
  { explanation, maps }: Pick<ExplainedScan, 'explanation' | 'maps'>,
  { most = 6 }: { most?: number } = {},
): Promise<Buffer> {
  const { scan, label, classes, explained, probabilities, method, slices, members } = explanation;
  const { volume, features } = maps;
  const { height, width } = volume;
  const pixels = height * width;
  const mapOf = ({ places }: SliceScore) => {
    const sum = new Float64Array(pixels);
    for (const place of places) for (let p = 0; p < pixels; p++) sum[p]! += maps.places[place * pixels + p]!;
    return smoothed({ height, width, data: sum });
  };
  const all = slices.map(mapOf);
  const greatest = all.reduce((top, map) => map.reduce((max, value) => Math.max(max, value), top), 0);
  const bytes = (data: Float64Array, scale: number): GreyImage => ({
    height,
    width,
    data: Uint8Array.from(data, (value) => (scale > 0 ? (255 * Math.max(0, value)) / scale : 0)),
  });
  const shown = bytes(shownMap(features).data, 1);
  const several = members.length === 1 ? members[0]!.member : `mean of ${members.length} members`;
  const percents = classes.map((name, i) => `${name} ${(100 * probabilities[i]!).toFixed(1)} %`);
  return drawExplanation({
    lines: [
      scan,
      `${several}: ${percents.join(', ')} - true class: ${label ?? 'not known'}`,
      `explained: the logit of ${explained}. Slices are ordered by their score, the most representative first`,
    ],
    rows: [
      `where the last features speak for ${explained} (${method}, all slices together)`,
      `what each slice adds to the logit of ${explained} through the first convolution, smoothed`,
    ],
    slices: slices.slice(0, most).map((slice, i): ExplainedSlice => {
      const place = slice.places[0]!;
      return {
        lines: [
          `slice ${slice.position}, score ${slice.score.toFixed(3)}`,
          slice.file === null ? '' : slice.file.split('/').at(-1)!,
        ],
        image: { height, width, data: volume.data.subarray(place * pixels, (place + 1) * pixels) },
        maps: [shown, bytes(all[i]!, greatest)],
      };
    }),
    scale: {
      least: '0, not coloured',
      most: `greatest value: of the features' map 1, of the slices' maps ${greatest.toPrecision(2)} (logit a pixel)`,
    },
  });
}

/** Models by architecture and views; the weights of a member are loaded when it is its turn. */
class LoadedModels {
  private readonly run: string;
  private readonly classes: number;
  private readonly models = new Map<string, { model: Model; member: string | undefined }>();

  constructor(run: string, classes: number) {
    this.run = run;
    this.classes = classes;
  }

  async of({ name, architecture, views }: MemberPlan): Promise<Model> {
    const depths = views.map(({ depth }) => depth);
    const key = JSON.stringify([architecture, depths]);
    const loaded = this.models.get(key) ?? {
      model: buildModel(architecture, { views: depths, classes: this.classes }),
      member: undefined,
    };
    this.models.set(key, loaded);
    if (loaded.member !== name) {
      loaded.member = undefined;
      const done = (await readDone(this.run, name))!;
      const { file } = await requireBest(memberFolder(this.run, name), done);
      await loadWeights(loaded.model.parameters, file);
      loaded.member = name;
    }
    return loaded.model;
  }

  dispose() {
    for (const { model } of this.models.values()) model.dispose();
    this.models.clear();
  }
}

/** Members of folds are trained on the scans of all other folds, other members on those of the split train. */
function isTrainedOn({ fold }: MemberPlan, scan: RunScan): boolean {
  if (fold === undefined) return scan.split === 'train';
  return scan.fold !== undefined && scan.fold !== null && scan.fold !== fold;
}

async function trainedMembers(
  run: string,
  plan: Plan,
  wanted: readonly string[] | undefined,
): Promise<MemberPlan[]> {
  const names = plan.members.map(({ name }) => name);
  for (const name of wanted ?? [])
    if (!names.includes(name))
      throw new UserError(`there is no member ${name}${didYouMean(name, names)}`, {
        file: run,
        remedy: `choose among ${names.join(', ')}`,
      });
  const trained: MemberPlan[] = [];
  for (const member of plan.members) {
    if (wanted !== undefined && !wanted.includes(member.name)) continue;
    const done = await readDone(run, member.name);
    if (done !== undefined) trained.push(member);
    else if (wanted !== undefined)
      throw new UserError(`the member ${member.name} is not trained yet`, {
        file: doneFile(run, member.name),
        remedy: `nx run trainer:all-members -- --run ${run}`,
      });
  }
  if (trained.length > 0) return trained;
  throw new UserError('no member of this run is trained', {
    file: run,
    remedy: `nx run trainer:all-members -- --run ${run}`,
  });
}

/** Scans that are explained if none is named. */
const USUAL_SCANS = 4;

function chosenScans(scans: readonly RunScan[], wanted: readonly string[] | undefined): RunScan[] {
  if (wanted === undefined) {
    const usable = (split: string) => scans.filter((scan) => scan.split === split && scan.volume !== null);
    const [test, val] = [usable('test'), usable('val')];
    return (test.length > 0 ? test : val).slice(0, USUAL_SCANS);
  }
  return wanted.map((name) => {
    const found = scans.filter((scan) => scan.key === name);
    const named = found.length > 0 ? found : scans.filter((scan) => scan.name === name);
    if (named.length === 1) return named[0]!;
    if (named.length > 1)
      throw new UserError(`the run has several scans named ${name}`, {
        remedy: `give the key of one: ${named.map(({ key }) => key).join(', ')}`,
      });
    const keys = scans.map(({ key }) => key);
    throw new UserError(`the run has no scan ${name}${didYouMean(name, keys)}`, {
      remedy: 'give the key of a scan as dataset.json lists it, such as ' + keys[0],
    });
  });
}

function classIndex(name: string, classes: readonly string[]): number {
  const index = classes.indexOf(name);
  if (index >= 0) return index;
  throw new UserError(`there is no class ${name}${didYouMean(name, classes)}`, {
    remedy: `choose one of ${classes.join(', ')}`,
  });
}

interface ScanFiles {
  /** The file of a slice; null if it is not known. */
  of(key: string, position: number): string | null;
  /** Why no file is known; null if the data set could be read. */
  problem: string | null;
}

/** The files of the scans, from the data set, which may be absent. */
async function filesOf(plan: Plan): Promise<ScanFiles> {
  const { root, layout, labels } = plan.dataset;
  try {
    const { recipe } = plan;
    const { scans } = await openDataset({
      ...{ data: root, layout, recipe, allowLeaks: true },
      ...(labels !== null && { labels }),
    });
    const entries = new Map<string, ScanEntry>(scans.map((scan) => [scan.key, scan]));
    return {
      of(key, position) {
        const entry = entries.get(key);
        const file = entry?.format === 'images' ? entry.slices[position] : undefined;
        return file === undefined ? null : relative(root, file).replaceAll('\\', '/');
      },
      problem: null,
    };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const problem = `the files of the slices are not named, because the data set cannot be read: ${error.message}`;
    return { of: () => null, problem };
  }
}

/** Bilinear, with pixel centres at half-integers; beyond the outermost centres the map is constant. */
function resized(map: ValueMap, { height, width }: { height: number; width: number }): ValueMap {
  const data = new Float64Array(height * width);
  const at = (i: number, from: number, to: number) => {
    const position = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    const before = Math.min(Math.floor(position), Math.max(from - 2, 0));
    return { before, after: Math.min(before + 1, from - 1), share: position - before };
  };
  for (let y = 0; y < height; y++) {
    const row = at(y, map.height, height);
    for (let x = 0; x < width; x++) {
      const column = at(x, map.width, width);
      const value = (r: number, c: number) => map.data[r * map.width + c]!;
      const upper = value(row.before, column.before) * (1 - column.share) + value(row.before, column.after) * column.share; // prettier-ignore
      const lower = value(row.after, column.before) * (1 - column.share) + value(row.after, column.after) * column.share; // prettier-ignore
      data[y * width + x] = upper * (1 - row.share) + lower * row.share;
    }
  }
  return { height, width, data };
}

/** Mean over squares around each pixel, a twelfth of the width wide, done twice; beyond the border the map is 0. */
function smoothed({ height, width, data }: ValueMap): Float64Array {
  const reach = Math.max(1, Math.round(width / 24));
  const along = (values: Float64Array, { lines, length, step, next }: Axis) => {
    const means = new Float64Array(values.length);
    for (let line = 0; line < lines; line++)
      for (let i = 0; i < length; i++) {
        let sum = 0;
        for (let k = Math.max(0, i - reach); k <= Math.min(length - 1, i + reach); k++)
          sum += values[line * next + k * step]!;
        means[line * next + i * step] = sum / (2 * reach + 1);
      }
    return means;
  };
  const rows = { lines: height, length: width, step: 1, next: width };
  const columns = { lines: width, length: height, step: width, next: 1 };
  return [rows, columns, rows, columns].reduce((values, axis) => along(values, axis), data);
}

/** How the values of an image's rows or columns lie: `step` between neighbours of a line, `next` between lines. */
interface Axis {
  lines: number;
  length: number;
  step: number;
  next: number;
}

const softmax = (logits: readonly number[]) => {
  const most = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
};

const meanOf = (rows: readonly (readonly number[])[]) =>
  rows[0]!.map((_, i) => rows.reduce((sum, row) => sum + row[i]!, 0) / rows.length);

function meanOfMaps(maps: readonly Float64Array[]): Float64Array {
  const mean = new Float64Array(maps[0]!.length);
  for (const map of maps) for (let i = 0; i < mean.length; i++) mean[i]! += map[i]! / maps.length;
  return mean;
}

function joined(parts: readonly Float64Array[]): Float64Array {
  const whole = new Float64Array(parts.reduce((sum, { length }) => sum + length, 0));
  let from = 0;
  for (const part of parts) {
    whole.set(part, from);
    from += part.length;
  }
  return whole;
}
