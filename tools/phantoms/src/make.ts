// Writes the data set of phantom scans: scans, lung masks, tables, and last of all the record that says it is complete.
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { codeOf, readJson, UserError, writeJson } from '@ct-ensemble/core';

import { drawAcquisition, drawBody } from './anatomy.ts';
import { endingOf, FORMATS, openScan, pngOf, type Format } from './formats.ts';
import { drawLungs } from './lungs.ts';
import {
  CLASSES,
  countsOf,
  DEFAULT_COUNTS,
  findingsOf,
  gradeOf,
  LAYOUTS,
  planScans,
  SCANS_PER_CLASS,
  type Counts,
  type Layout,
  type PlannedScan,
} from './plan.ts';
import { renderScan } from './render.ts';
import { TABLES, writeTables, type WrittenScan } from './tables.ts';
import { grainTile, smoothNoise, type SmoothNoise } from './texture.ts';

/** Raised whenever the same options give other files. */
const VERSION = 1;
const RECORD = 'phantoms.json';
const UNFINISHED = 'phantoms.unfinished.json';

export interface PhantomOptions {
  folder: string;
  /** An integer, 0 … 2³²−1. The same seed and options give the same bytes (with one version of sharp, dcmjs and zlib). */
  seed: number;
  /** Names of the classes, 2 to 8; `findingsOf` states what each shows. Default: covid, non-covid. */
  classes?: readonly string[];
  /** Scans per split and class. Default: 20 per class, of which 12 for training, 5 for validation, 3 for testing. */
  counts?: Counts;
  /** Slice width and height in pixels, 32 … 1024. Default: 128. */
  size?: number;
  /** Default: jpeg. */
  format?: Format;
  /** Default: cov19-ct-db. */
  layout?: Layout;
  /** Whether the table of the layout `table` has a column `split`. Default: true. */
  split?: boolean;
  /** Called after every scan with the number of scans done and of all. */
  onProgress?: (done: number, total: number) => void;
}

/**
 * Writes a data set of phantom scans: slices or volumes in the given format and layout, and its tables. The layout
 * `cov19-ct-db` also has lung masks below `masks`.
 *
 * A folder that already holds the data set of the same options and version is left as it is (`made` is false). A folder
 * that holds a phantom data set of other options, or an unfinished one, is made anew. Throws a `UserError` for options
 * out of range and for a folder that holds anything else.
 */
export async function makePhantoms(
  options: PhantomOptions,
): Promise<{ made: boolean; scans: number; slices: number }> {
  const { folder, seed, size = 128, onProgress } = options;
  const { classes = CLASSES, format = 'jpeg', layout = 'cov19-ct-db', split = true } = options;
  const findings = findingsOf(classes);
  const {
    counts = isDefault(classes) ? DEFAULT_COUNTS : countsOf(SCANS_PER_CLASS * classes.length, classes),
  } = options;
  checkOptions({ seed, counts, size, classes, format, layout, split });
  const plan = planScans(seed, counts, { classes, layout });
  const totals = { scans: plan.length, slices: plan.reduce((sum, { slices }) => sum + slices, 0) };
  const extended = !isDefault(classes) || format !== 'jpeg' || layout !== 'cov19-ct-db';
  // The record of the default output has these four fields only, because its bytes must not change.
  const wanted = {
    version: VERSION,
    seed,
    size,
    counts: ordered(counts, classes),
    ...(extended && { classes: [...classes], findings, format, layout, split }),
  };
  const previous = await readFolder(folder);
  if (previous.record !== undefined && isSame(previous.record, wanted)) return { made: false, ...totals };

  await mkdir(folder, { recursive: true });
  const entries = [...new Set([...previous.entries, ...entriesOf(plan, layout)])];
  // This file names everything that is deleted or written from here on, so that the next run can delete the remains of an
  // interrupted one.
  await writeJson(join(folder, UNFINISHED), { ...wanted, entries });
  for (const name of [RECORD, ...entries]) await rm(join(folder, name), { recursive: true, force: true });

  const shared = { seed, size, format, layout, noise: smoothNoise(seed, 'tissue'), grain: grainTile(seed) };
  const written: WrittenScan[] = [];
  for (const scan of plan) {
    written.push(await makeScan(folder, scan, shared));
    onProgress?.(written.length, plan.length);
  }
  await writeTables(folder, written, { layout, split });
  const scans = written.map(extended ? extendedRecord : defaultRecord);
  await writeJson(join(folder, RECORD), {
    ...wanted,
    scans,
    ...(extended && { entries: entriesOf(plan, layout) }),
  });
  await rm(join(folder, UNFINISHED));
  return { made: true, ...totals };
}

const isDefault = (classes: readonly string[]) => isDeepStrictEqual([...classes], [...CLASSES]);

/** A scan in `phantoms.json` of the default output. */
const defaultRecord = (scan: WrittenScan) => ({
  split: scan.split,
  class: scan.class,
  name: scan.name,
  patient: scan.patient,
  slices: scan.slices,
  affectedFraction: scan.affectedFraction,
  grade: scan.grade,
});

/** A scan in `phantoms.json` of any other output. */
const extendedRecord = (scan: WrittenScan) => ({
  path: scan.path,
  finding: scan.finding,
  group: scan.group,
  ...defaultRecord(scan),
});

interface Shared {
  seed: number;
  size: number;
  format: Format;
  layout: Layout;
  noise: SmoothNoise;
  grain: Float32Array;
}

async function makeScan(folder: string, scan: PlannedScan, shared: Shared): Promise<WrittenScan> {
  const { seed, size, format, layout, noise, grain } = shared;
  const writer = await openScan(format, { scan, path: join(folder, scan.path), seed, size });
  const masks = layout === 'cov19-ct-db' ? join(folder, 'masks', scan.path) : undefined;
  if (masks !== undefined) await mkdir(masks, { recursive: true });
  const body = drawBody(seed, scan.patient);
  const slices = renderScan({
    body,
    lungs: drawLungs(seed, { scan, body, noise }),
    acquisition: drawAcquisition(seed, scan.acquisition),
    slices: scan.slices,
    size,
    noise,
    grain,
    grainKey: { seed, sample: scan.key },
  });
  const writes: Promise<void>[] = [];
  let lungPixels = 0;
  let affectedPixels = 0;
  let k = 0;
  for (const slice of slices) {
    lungPixels += slice.lungPixels;
    affectedPixels += slice.affectedPixels;
    writes.push(writer.slice(slice, k));
    if (masks !== undefined) writes.push(writeMask(join(masks, `${k}.png`), slice.mask, size));
    k++;
  }
  await Promise.all(writes);
  await writer.end();
  const affectedFraction = affectedPixels / lungPixels;
  return {
    ...scan,
    path: `${scan.path}${endingOf(format)}`,
    affectedFraction,
    grade: scan.finding === 'covid' ? gradeOf(affectedFraction) : null,
  };
}

const writeMask = async (file: string, mask: Uint8Array, size: number) =>
  writeFile(file, await pngOf(mask, size));

/** Names in the folder of the data set, without its record. */
function entriesOf(plan: readonly PlannedScan[], layout: Layout): string[] {
  const folders = plan.map(({ path }) => path.slice(0, path.indexOf('/')));
  return [...new Set([...folders, ...(layout === 'cov19-ct-db' ? ['masks'] : []), ...TABLES[layout]])];
}

interface Previous {
  /** Of a complete data set. */
  record: Record<string, unknown> | undefined;
  /** What this tool wrote into the folder, complete or not. */
  entries: readonly string[];
}

/** What is in the folder. Throws a UserError if it is a file or holds something that is no phantom data set. */
async function readFolder(folder: string): Promise<Previous> {
  const names = await list(folder);
  if (names.length === 0) return { record: undefined, entries: [] };
  const record = await readJson(join(folder, RECORD));
  const unfinished = await readJson(join(folder, UNFINISHED));
  if (!names.includes(UNFINISHED) && !isRecord(record)) {
    throw new UserError('is not empty and holds no phantom data set', {
      file: folder,
      remedy: 'name an empty or a new folder',
    });
  }
  const entries = [...entriesIn(record), ...entriesIn(unfinished)];
  return { record: isRecord(record) ? record : undefined, entries };
}

/** The names of files and folders that a record lists; the record of the default output does not list them. */
function entriesIn(record: unknown): string[] {
  if (typeof record !== 'object' || record === null) return [];
  if (!('entries' in record) || !Array.isArray(record.entries))
    return ['train', 'validation', 'test', 'masks', ...TABLES['cov19-ct-db']];
  return record.entries.filter(isPlainName);
}

/** A name that cannot lead out of the folder. */
const isPlainName = (name: unknown): name is string =>
  typeof name === 'string' && /^[^/\\]+$/.test(name) && name !== '.' && name !== '..';

const isSame = (record: Record<string, unknown>, wanted: object) =>
  isDeepStrictEqual({ ...record, scans: [], entries: [] }, { ...wanted, scans: [], entries: [] });

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    if (codeOf(error) === 'ENOTDIR')
      throw new UserError('is a file', { file: folder, remedy: 'name a folder', cause: error });
    throw error;
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && 'version' in value && 'scans' in value;
}

type Checked = Required<Omit<PhantomOptions, 'folder' | 'onProgress'>>;

function checkOptions({ seed, counts, size, classes, format, layout, split }: Checked) {
  checkInteger('seed', seed, [0, 2 ** 32 - 1]);
  checkInteger('size', size, [32, 1024]);
  checkChoice('format', format, FORMATS);
  checkChoice('layout', layout, LAYOUTS);
  for (const part of ['train', 'val', 'test'] as const)
    for (const label of classes) checkInteger(`counts.${part}.${label}`, counts[part][label], [0, 100_000]);
  if (!split && layout !== 'table')
    throw new UserError(`split is false, but the layout ${layout} always has splits`, {
      remedy: 'choose the layout table, or leave the splits in',
    });
}

function checkChoice(field: string, value: string, choices: readonly string[]) {
  if (!choices.includes(value))
    throw new UserError(`${field} is '${value}'`, { remedy: `choose one of ${choices.join(', ')}` });
}

function checkInteger(field: string, value: number | undefined, [low, high]: readonly [number, number]) {
  if (value === undefined || !Number.isInteger(value) || value < low || value > high)
    throw new UserError(`${field} is ${value}`, { remedy: `give an integer from ${low} to ${high}` });
}

function ordered({ train, val, test }: Counts, classes: readonly string[]): Counts {
  const each = (of: Counts['train']) => Object.fromEntries(classes.map((label) => [label, of[label]!]));
  return { train: each(train), val: each(val), test: each(test) };
}
