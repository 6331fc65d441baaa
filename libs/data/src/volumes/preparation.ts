// From the files of one scan to one volume of fixed size: which slices show lung, which of them become the volume's, and
// what is done to each: resize, mask, equalise.
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { messageOf, UserError } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { equalizeHistogram } from './equalize.ts';
import { listed, type Finding } from '../findings.ts';
import { fingerprintOf } from './fingerprint.ts';
import { isEnoughLung, lungShare, shareOf, thresholdMask } from '../lungs/lungs.ts';
import { masked, withBorder, type MaskBorder } from './masking.ts';
import { resizeBilinear } from './resize.ts';
import { sampleSlices, type SamplingOptions } from './slice-choice.ts';
import type { LungSegmenter, SliceFilter } from '../lungs/slice-networks.ts';
import {
  openSlices,
  readSliceFiles,
  type SliceFile,
  type SliceFinding,
  type SliceSource,
} from '../readers/slice-source.ts';
import type { GreyImage } from '../scan.ts';
import type { Volume } from './volume.ts';

/** What volumes are prepared to. Every field is part of a volume's content key. */
export interface Preparation {
  /** Slices; of two views each one's, whose slices stand one after the other in the volume. */
  depth: number | readonly number[];
  height: number;
  width: number;
  /** `lung`: only slices that show lung; default all. */
  slices?: 'all' | 'lung';
  /** How slices are sampled, see `sampleSlices`; default nearest. */
  sampling?: SamplingOptions['sampling'];
  /** Default shared. */
  secondView?: SamplingOptions['secondView'];
  /** Only the lung is left of the slices; null, the default: no mask. */
  mask?: MaskBorder | null;
  /** Each slice's histogram is equalised; default not. */
  equalize?: boolean;
}

/** Networks in the place of thresholds: for `slices: lung`, and for the mask. */
export interface PreparationNetworks {
  filter?: SliceFilter;
  segmenter?: LungSegmenter;
}

/** To be raised with every change that gives other grey values: volumes of another version are not reused. */
export const PREPARATION_VERSION = 2;

export interface PreparedSlices {
  volume: Volume | null;
  /** Why there is no volume. */
  failure: string | null;
  /** Slices that could be decoded. */
  decodable: number;
  /** Positions of the slices that could be decoded and are left out, as they show no lung. */
  dropped: number[];
  /** For each slice of the volume the position of the slice it was made of. */
  sources: number[];
  /** `fingerprintOf` the volume before masks and equalisation, which make different scans alike; null without a volume. */
  fingerprint: string | null;
  findings: SliceFinding[];
}

export interface PrepareOptions {
  preparation: Preparation;
  networks?: PreparationNetworks;
}

/** Size, time of change of content and of state; null where the file is not there. */
export type FileState = readonly [size: number, modified: number, changed: number] | null;

/** A scan's files, read once for as many preparations as are wanted. */
export interface OpenedScan {
  files: SliceFile[];
  /** Of the files, before they were read. */
  states: FileState[];
  /** What has been found out of the slices, by what was asked. */
  surveys: Map<string, Promise<Survey>>;
}

export async function openScan(scan: Pick<ScanEntry, 'slices'>): Promise<OpenedScan> {
  const states = await mapConcurrent(scan.slices, 16, stateOf);
  return { states, files: await readSliceFiles(scan.slices), surveys: new Map() };
}

export async function stateOf(file: string): Promise<FileState> {
  try {
    const { size, mtimeMs, ctimeMs } = await stat(file);
    return [size, mtimeMs, ctimeMs];
  } catch {
    return null;
  }
}

/** Slices of each view. */
export function viewsOf({ depth }: Pick<Preparation, 'depth'>): readonly number[] {
  return typeof depth === 'number' ? [depth] : depth;
}

/** One scan without a store. Throws a UserError where there is no volume. */
export async function prepareVolume(
  scan: Pick<ScanEntry, 'key' | 'format' | 'slices'>,
  preparation: Preparation,
): Promise<{ volume: Volume; findings: Finding[] }> {
  const opened = await openScan(scan);
  const { volume, failure, findings } = await prepareOpened(scan, opened, { preparation });
  if (volume === null)
    throw new UserError(failure ?? 'no volume', {
      file: scan.key,
      remedy: 'replace its files, or remove the scan',
    });
  return { volume, findings: locate([...duplicatesIn(opened.files), ...findings], scan) };
}

/**
 * What a scan's files are prepared to, whatever their format. A slice that cannot be decoded is left out, with a
 * finding; a scan of which nothing can be read has no volume, and its reason. Slices are resized as Pillow does it
 * (bilinear, antialiased), masked and equalised at the volume's size.
 */
export async function prepareOpened(
  scan: Pick<ScanEntry, 'key' | 'format' | 'slices'>,
  { files, surveys }: OpenedScan,
  options: PrepareOptions,
): Promise<PreparedSlices> {
  const { preparation, networks = {} } = options;
  requireSizes(preparation);
  const { slices, sampling, filter, segmenter } = settingsOf(preparation, networks);
  const asked = JSON.stringify({ slices, sampling, filter, segmenter });
  const found = surveys.get(asked) ?? openSlices(scan, files).then((source) => survey(source, options));
  surveys.set(asked, found);
  try {
    return await prepareSurveyed(await found, options);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const findings = [{ kind: 'unreadable-scan', slices: [], message: messageOf(error) }];
    return failed(messageOf(error), findings);
  }
}

function failed(failure: string, findings: SliceFinding[]): PreparedSlices {
  return { volume: null, failure, decodable: 0, dropped: [], sources: [], fingerprint: null, findings };
}

/** With fewer slices that show lung than this, all are taken: a volume that repeats a slice or two shows nothing. */
const FEWEST_WITH_LUNG = 4;

/** Slices that go through a network at once. */
const CHUNK = 32;

async function prepareSurveyed(found: Survey, options: PrepareOptions): Promise<PreparedSlices> {
  const { preparation } = options;
  const { count, good, withLung, areas, imageOf } = found;
  const findings = [...found.findings];
  if (good.length === 0) return failed(failureOf(count, findings), findings);
  const few = withLung.length < FEWEST_WITH_LUNG;
  const kept = few ? good : withLung;
  if (withLung.length < good.length) {
    const counts = `${withLung.length} of ${good.length} slices show lung`;
    findings.push(
      few
        ? { kind: 'too-few-lung-slices', slices: [], message: `${counts}; all are taken` }
        : { kind: 'slices-without-lung', slices: [], message: `${counts}; the others are left out` },
    );
  }
  const { height, width, sampling = 'nearest', secondView = 'shared' } = preparation;
  const views = viewsOf(preparation);
  const keptAreas = kept.map((i) => areas.get(i) ?? 0);
  const sources = sampleSlices({ count: kept.length, views, sampling, secondView, areas: keptAreas }).map(
    (k) => kept[k]!,
  );
  const size = { depth: sources.length, height, width };
  const volume: Volume = { ...size, data: new Uint8Array(sources.length * height * width) };
  const isPlain = !preparation.mask && !preparation.equalize;
  const plain: Volume = isPlain ? volume : { ...size, data: new Uint8Array(volume.data.length) };
  const unique = [...new Set(sources)];
  for (let from = 0; from < unique.length; from += CHUNK) {
    const chunk = unique.slice(from, from + CHUNK);
    const images = await Promise.all(chunk.map(imageOf));
    const resized = images.map((image) => resizeBilinear(image, preparation));
    const finished = isPlain ? resized : await maskedAndEqualized(images, resized, options);
    for (const [k, i] of chunk.entries())
      for (let z = sources.indexOf(i); z >= 0; z = sources.indexOf(i, z + 1)) {
        volume.data.set(finished[k]!.data, z * height * width);
        if (!isPlain) plain.data.set(resized[k]!.data, z * height * width);
      }
  }
  const taken = new Set(kept);
  const dropped = good.filter((i) => !taken.has(i));
  const fingerprint = fingerprintOf(plain);
  return { volume, failure: null, decodable: good.length, dropped, sources, fingerprint, findings };
}

/** Decoded slices are kept up to so many bytes; the others are decoded again where they are needed. */
const MOST_KEPT = 2 ** 27;

/** What a scan's slices are; positions count from its first slice. */
export interface Survey {
  count: number;
  /** Slices that can be decoded. */
  good: number[];
  /** Those among them that show lung, or all where none is to be dropped. */
  withLung: number[];
  /** Lung in them, where slices are sampled by it. */
  areas: Map<number, number>;
  imageOf(slice: number): Promise<GreyImage>;
  findings: SliceFinding[];
}

/** Decodes every slice. */
async function survey(source: SliceSource, { preparation, networks = {} }: PrepareOptions): Promise<Survey> {
  const { slices = 'all', sampling = 'nearest' } = preparation;
  const { filter, segmenter } = networks;
  const findings = [...source.findings];
  const good: number[] = [];
  const withLung: number[] = [];
  const areas = new Map<number, number>();
  const sizes = new Map<string, number>();
  const losses = new Map<string, number[]>();
  const images = new Map<number, GreyImage>();
  let held = 0;
  for (let from = 0; from < source.count; from += CHUNK) {
    const decoded: { i: number; image: GreyImage }[] = [];
    for (let i = from; i < Math.min(from + CHUNK, source.count); i++) {
      try {
        const { image, loss } = await source.decode(i);
        if (loss !== null) losses.set(loss, [...(losses.get(loss) ?? []), i]);
        decoded.push({ i, image });
      } catch (error) {
        findings.push({ kind: 'undecodable-slice', slices: [i], message: `left out: ${messageOf(error)}` });
      }
    }
    const chunk = decoded.map(({ image }) => image);
    const thresholdShares = (slices === 'lung' && !filter) || (sampling === 'lung-area' && !segmenter);
    const shares = thresholdShares ? chunk.map(lungShare) : [];
    const keep =
      slices === 'all' ? chunk.map(() => true) : ((await filter?.keep(chunk)) ?? shares.map(isEnoughLung));
    const lung = sampling === 'lung-area' && segmenter ? (await segmenter.masks(chunk)).map(shareOf) : shares;
    for (const [k, { i, image }] of decoded.entries()) {
      good.push(i);
      if (keep[k]) withLung.push(i);
      if (lung[k] !== undefined) areas.set(i, lung[k]);
      const size = `${image.width}×${image.height}`;
      sizes.set(size, (sizes.get(size) ?? 0) + 1);
      if (!keep[k] || held + image.data.length > MOST_KEPT) continue;
      images.set(i, image);
      held += image.data.length;
    }
  }
  if (sizes.size > 1 && !source.findings.some(({ kind }) => kind === 'mixed-sizes')) {
    const parts = [...sizes].sort((a, b) => b[1] - a[1]).map(([size, count]) => `${count} of ${size}`);
    findings.push({ kind: 'mixed-sizes', slices: [], message: `slices of several sizes: ${listed(parts)}` });
  }
  for (const [message, slices] of losses) findings.push({ kind: 'converted-slices', slices, message });
  const imageOf = async (i: number) => images.get(i) ?? (await source.decode(i)).image;
  return { count: source.count, good, withLung, areas, imageOf, findings };
}

/** What is done to the slices that the volume is made of, after they have its size. */
async function maskedAndEqualized(
  images: readonly GreyImage[],
  resized: readonly GreyImage[],
  { preparation, networks = {} }: PrepareOptions,
): Promise<GreyImage[]> {
  const { mask = null, equalize = false } = preparation;
  const masks = mask === null ? null : await masksOf(images, networks.segmenter);
  return resized.map((image, i) => {
    const lung = mask && masks ? masked(image, withBorder(masks[i]!, mask)) : image;
    return equalize ? equalizeHistogram(lung) : lung;
  });
}

/** Of a segmenter, or by threshold. */
export async function masksOf(images: readonly GreyImage[], segmenter?: LungSegmenter): Promise<GreyImage[]> {
  if (segmenter === undefined) return images.map(thresholdMask);
  const { edge } = segmenter;
  return (await segmenter.masks(images)).map((data) => ({ height: edge, width: edge, data }));
}

function failureOf(slices: number, findings: readonly SliceFinding[]) {
  const first = findings.find(({ kind }) => kind === 'undecodable-slice');
  return slices === 0
    ? 'has no slice'
    : `none of its ${slices} slices can be decoded; the first: ${first?.message}`;
}

/** SHA-256 over the slices' bytes in order, what they are read as, and all that decides about the grey values. */
export function contentKey(
  files: readonly SliceFile[],
  { format, settings }: { format: ScanEntry['format']; settings: ReturnType<typeof settingsOf> },
): string {
  return sha256(JSON.stringify({ format, settings, slices: files.map(digestOf) }));
}

/** A finding about the slices whose bytes came before. */
export function duplicatesIn(files: readonly SliceFile[]): SliceFinding[] {
  const seen = new Set<string>();
  const repeats = files.flatMap((file, i) => {
    const digest = digestOf(file);
    if (digest === null || file.bytes!.length === 0) return [];
    const isRepeat = seen.has(digest);
    seen.add(digest);
    return isRepeat ? [i] : [];
  });
  const message = 'same bytes as an earlier slice of the scan, kept';
  return repeats.length > 0 ? [{ kind: 'duplicate-slices', slices: repeats, message }] : [];
}

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');

const digestOf = (file: SliceFile) => (file.bytes === null ? null : (file.digest ??= sha256(file.bytes)));

/** Everything that decides about the grey values but the scan, spelt in one way; what has no part in it is left out. */
export function settingsOf(preparation: Preparation, networks: PreparationNetworks = {}) {
  const { height, width, mask = null } = preparation;
  const { slices = 'all', sampling = 'nearest', secondView = 'shared', equalize = false } = preparation;
  const needsMasks = mask !== null || sampling === 'lung-area';
  return {
    version: PREPARATION_VERSION,
    views: viewsOf(preparation),
    height,
    width,
    slices,
    sampling,
    secondView,
    mask: mask && { dilate: mask.dilate, edge: mask.edge ?? 'dilated' },
    equalize,
    filter: slices === 'lung' ? (networks.filter?.id ?? 'area') : null,
    segmenter: needsMasks ? (networks.segmenter?.id ?? 'threshold') : null,
  };
}

/** Findings about positions as findings about files. */
export function locate(
  findings: readonly SliceFinding[],
  scan: Pick<ScanEntry, 'key' | 'slices'>,
): Finding[] {
  const folder = scan.slices[0] === undefined ? scan.key : dirname(scan.slices[0]);
  return findings.map(({ kind, slices, message }) => {
    const paths = slices.map((i) => scan.slices[i] ?? `slice ${i}`);
    if (paths.length === 1) return { kind, path: paths[0]!, message };
    const names = paths.map((path) => basename(path));
    return { kind, path: folder, message: names.length === 0 ? message : `${message}: ${listed(names)}` };
  });
}

function requireSizes(preparation: Preparation) {
  const { height, width, mask } = preparation;
  const views = viewsOf(preparation);
  const depths = Object.fromEntries(
    views.map((depth, i) => [views.length === 1 ? 'depth' : `depth[${i}]`, depth]),
  );
  for (const [name, value] of Object.entries({ ...depths, height, width }))
    if (!Number.isInteger(value) || value < 1)
      throw new UserError(`preparation, field ${name}: ${value} is not a whole number above zero`);
  if (views.length < 1 || views.length > 2)
    throw new UserError(`preparation, field depth: ${views.length} views; there may be one or two`);
  if (mask && (!Number.isInteger(mask.dilate) || mask.dilate % 2 !== 1 || mask.dilate < 1))
    throw new UserError(`preparation, field mask.dilate: ${mask.dilate} is not an odd number above zero`);
}
