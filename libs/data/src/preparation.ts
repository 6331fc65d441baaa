// From the files of one scan to one volume of fixed size: decode, resize, resample the depth.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { codeOf, messageOf, UserError } from '@ct-ensemble/core';
import type { ScanEntry } from './dataset-index.ts';
import { listed, type Finding } from './findings.ts';
import { showsLung } from './lungs.ts';
import { readNifti } from './nifti.ts';
import { resizeBilinear } from './resize.ts';
import { greyOfHU, type Scan, type Slice } from './scan.ts';
import { decodeSlice, type GreyImage } from './slices.ts';
import { nearestIndices, type Volume } from './volume.ts';

/** What volumes are prepared to. Every field is part of a volume's content key. */
export interface Preparation {
  depth: number;
  height: number;
  width: number;
  /** `lung`: only slices that show lung, by `showsLung`; default all. */
  slices?: 'all' | 'lung';
}

/** To be raised with every change that gives other grey values: volumes of another version are not reused. */
export const PREPARATION_VERSION = 1;

/** A slice file in memory; without bytes where it cannot be read. */
export interface SliceFile {
  bytes: Uint8Array | null;
  /** Why it cannot be read. */
  problem: string | null;
}

/** A finding about slices by their position in the scan, so that it holds wherever the same bytes lie. */
export interface SliceFinding {
  kind: string;
  /** Positions among the scan's slices; none where it is about the scan as a whole. */
  slices: number[];
  message: string;
}

export interface PreparedSlices {
  volume: Volume | null;
  /** Why there is no volume. */
  failure: string | null;
  /** Slices that could be decoded. */
  decodable: number;
  findings: SliceFinding[];
}

/**
 * Decodes every slice to grey, resizes it (bilinear, antialiased, as Pillow does) and resamples the depth to the nearest slice. A slice that cannot
 * be decoded is left out, with a finding. Throws a UserError where no slice can be decoded.
 */
export async function prepareVolume(
  scan: Pick<ScanEntry, 'key' | 'format' | 'slices'>,
  preparation: Preparation,
): Promise<{ volume: Volume; findings: Finding[] }> {
  const files = await readSliceFiles(scan.slices);
  const { volume, failure, findings } = await prepareFiles(scan, files, preparation);
  if (volume === null)
    throw new UserError(failure ?? 'no volume', {
      file: scan.key,
      remedy: 'replace its files, or remove the scan',
    });
  return { volume, findings: locate(findings, scan) };
}

/** What a scan's files are prepared to, whatever their format. Only for NIfTI is the file read again. */
export async function prepareFiles(
  scan: Pick<ScanEntry, 'key' | 'format' | 'slices'>,
  files: readonly SliceFile[],
  preparation: Preparation,
): Promise<PreparedSlices> {
  if (scan.format === 'images') return prepareSlices(files, preparation);
  try {
    const { read, findings } = await readScan(scan, files);
    return prepareScan(read, preparation, findings);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const findings = [{ kind: 'unreadable-scan', slices: [], message: messageOf(error) }];
    return { volume: null, failure: messageOf(error), decodable: 0, findings };
  }
}

/** Of several series the one with the most slices. */
async function readScan(
  { format, slices }: Pick<ScanEntry, 'format' | 'slices'>,
  files: readonly SliceFile[],
) {
  if (format === 'nifti') return { read: await readNifti(slices[0]!), findings: [] };
  const unread = files.flatMap(({ problem }, i) =>
    problem === null ? [] : [{ kind: 'undecodable-slice', slices: [i], message: `left out: ${problem}` }],
  );
  const whole = files.flatMap(({ bytes }, i) => (bytes === null ? [] : [{ path: slices[i]!, bytes }]));
  const { readDicomSeries } = await import('./dicom.ts'); // its decoders take a fifth of a second to load
  const series = await readDicomSeries(whole);
  const [read, ...others] = [...series].sort((a, b) => b.slices.length - a.slices.length);
  const sizes = listed(series.map(({ slices }) => slices.length));
  const message = `holds ${series.length} series, of ${sizes} slices; taken is the longest, ${read!.series ?? 'without a UID'}`;
  return {
    read: read!,
    findings: [...unread, ...(others.length > 0 ? [{ kind: 'several-series', slices: [], message }] : [])],
  };
}

/** Hounsfield units become grey by `greyOfHU`; slices are resized, and the depth is resampled to the nearest slice. */
export function prepareScan(
  scan: Scan,
  preparation: Preparation,
  findings: readonly SliceFinding[] = [],
): PreparedSlices {
  requireSizes(preparation);
  const { depth, height, width } = preparation;
  const volume: Volume = { depth, height, width, data: new Uint8Array(depth * height * width) };
  const told = [...findings, ...scan.findings.map(({ kind, message }) => ({ kind, slices: [], message }))];
  const good = scan.slices.map((_, i) => i);
  const withLung = new Set(
    preparation.slices === 'lung' ? good.filter((i) => showsLung(scan.slices[i]!)) : [],
  );
  const chosen = chooseSlices(good, { withLung, preparation, findings: told });
  let last: { index: number; data: Uint8Array } = { index: -1, data: new Uint8Array() };
  for (const [z, k] of nearestIndices(chosen.length, depth).entries()) {
    const index = chosen[k]!;
    if (index !== last.index)
      last = { index, data: resizeBilinear(greyOf(scan.slices[index]!), preparation).data };
    volume.data.set(last.data, z * height * width);
  }
  return { volume, failure: null, decodable: scan.slices.length, findings: told };
}

function greyOf({ height, width, data }: Slice): GreyImage {
  return { height, width, data: data instanceof Uint8Array ? data : Uint8Array.from(data, greyOfHU) };
}

export async function readSliceFiles(paths: readonly string[]): Promise<SliceFile[]> {
  const files: SliceFile[] = [];
  for (const path of paths) {
    try {
      files.push({ bytes: await readFile(path), problem: null });
    } catch (error) {
      files.push({ bytes: null, problem: `cannot be read (${codeOf(error) ?? messageOf(error)})` });
    }
  }
  return files;
}

/** SHA-256 over the slices' bytes in order, each after its length, and over all that decides about the grey values. */
export function contentKey(files: readonly SliceFile[], preparation: Preparation): string {
  const { depth, height, width, slices = 'all' } = preparation;
  const hash = createHash('sha256');
  const chosen = slices === 'all' ? {} : { chosen: slices };
  hash.update(
    JSON.stringify({ version: PREPARATION_VERSION, depth, height, width, ...chosen, slices: files.length }),
  );
  for (const { bytes } of files) {
    const length = Buffer.alloc(8, 0xff); // all ones: no bytes, which is not the same as zero bytes
    if (bytes !== null) length.writeBigUInt64LE(BigInt(bytes.length));
    hash.update(length);
    if (bytes !== null) hash.update(bytes);
  }
  return hash.digest('hex');
}

/**
 * The steps of the preparation, for JPEG and PNG slices. What changes slices (a lung mask, an equalised histogram)
 * belongs between decoding and resizing, where a slice is grey at its own size. Its parameters go into `Preparation`
 * and so into the content key.
 */
export async function prepareSlices(
  files: readonly SliceFile[],
  preparation: Preparation,
): Promise<PreparedSlices> {
  requireSizes(preparation);
  const findings = sameBytes(files);
  const good: number[] = [];
  const sizes = new Map<string, number>();
  const losses = new Map<string, number[]>();
  // Slices are resized only where the depth axis takes them. Which ones is certain only when all have been decoded;
  // so far all are assumed to be good.
  const expected = new Set(nearestIndices(files.length, preparation.depth));
  const withLung = new Set<number>();
  const resized = new Map<number, Uint8Array>();
  for (const [i, file] of files.entries()) {
    const decoded = await tryDecode(file);
    if ('problem' in decoded) {
      findings.push({ kind: 'undecodable-slice', slices: [i], message: `left out: ${decoded.problem}` });
      continue;
    }
    const { image, loss } = decoded;
    const size = `${image.width}×${image.height}`;
    sizes.set(size, (sizes.get(size) ?? 0) + 1);
    if (loss !== null) losses.set(loss, [...(losses.get(loss) ?? []), i]);
    if (preparation.slices === 'lung' && showsLung(image)) withLung.add(i);
    if (expected.has(i) || withLung.has(i)) resized.set(i, resizeBilinear(image, preparation).data);
    good.push(i);
  }
  if (sizes.size > 1) {
    const parts = [...sizes].sort((a, b) => b[1] - a[1]).map(([size, count]) => `${count} of ${size}`);
    findings.push({ kind: 'mixed-sizes', slices: [], message: `slices of several sizes: ${listed(parts)}` });
  }
  for (const [message, slices] of losses) findings.push({ kind: 'converted-slices', slices, message });
  if (good.length === 0)
    return { volume: null, failure: failureOf(files.length, findings), decodable: 0, findings };

  const { depth, height, width } = preparation;
  const volume: Volume = { depth, height, width, data: new Uint8Array(depth * height * width) };
  const chosen = chooseSlices(good, { withLung, preparation, findings });
  for (const [z, k] of nearestIndices(chosen.length, depth).entries()) {
    const i = chosen[k]!;
    if (!resized.has(i)) {
      const { image } = await decodeSlice(files[i]!.bytes!);
      resized.set(i, resizeBilinear(image, preparation).data);
    }
    volume.data.set(resized.get(i)!, z * height * width);
  }
  return { volume, failure: null, decodable: good.length, findings };
}

/** With fewer slices that show lung than this, all are taken: a volume that repeats a slice or two shows nothing. */
const FEWEST_WITH_LUNG = 4;

/** What is dropped, or why nothing is, is a finding. */
function chooseSlices(
  good: readonly number[],
  options: { withLung: ReadonlySet<number>; preparation: Preparation; findings: SliceFinding[] },
): readonly number[] {
  const { withLung, preparation, findings } = options;
  if (preparation.slices !== 'lung' || withLung.size === good.length) return good;
  const few = withLung.size < FEWEST_WITH_LUNG;
  const counts = `${withLung.size} of ${good.length} slices show lung`;
  findings.push(
    few
      ? { kind: 'too-few-lung-slices', slices: [], message: `${counts}; all are taken` }
      : { kind: 'slices-without-lung', slices: [], message: `${counts}; the others are left out` },
  );
  return few ? good : good.filter((i) => withLung.has(i));
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

async function tryDecode(file: SliceFile) {
  if (file.bytes === null) return { problem: file.problem ?? 'cannot be read' };
  try {
    return await decodeSlice(file.bytes);
  } catch (error) {
    return { problem: messageOf(error) };
  }
}

function sameBytes(files: readonly SliceFile[]): SliceFinding[] {
  const seen = new Set<string>();
  const repeats: number[] = [];
  for (const [i, { bytes }] of files.entries()) {
    if (bytes === null || bytes.length === 0) continue;
    const digest = createHash('sha256').update(bytes).digest('hex');
    if (seen.has(digest)) repeats.push(i);
    seen.add(digest);
  }
  const message = 'same bytes as an earlier slice of the scan, kept';
  return repeats.length > 0 ? [{ kind: 'duplicate-slices', slices: repeats, message }] : [];
}

function failureOf(slices: number, findings: readonly SliceFinding[]) {
  const first = findings.find(({ kind }) => kind === 'undecodable-slice');
  return slices === 0
    ? 'has no slice'
    : `none of its ${slices} slices can be decoded; the first: ${first?.message}`;
}

function requireSizes({ depth, height, width }: Preparation) {
  for (const [name, value] of Object.entries({ depth, height, width }))
    if (!Number.isInteger(value) || value < 1)
      throw new UserError(`preparation, field ${name}: ${value} is not a whole number above zero`);
}
