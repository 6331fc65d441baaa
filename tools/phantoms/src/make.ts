// Writes the data set of phantom scans: images, lung masks, lists, and last of all the record that says it is complete.
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';

import { codeOf, readJson, UserError, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import sharp from 'sharp';

import { drawAcquisition, drawBody, drawLungs } from './anatomy.ts';
import {
  CLASSES,
  DEFAULT_COUNTS,
  gradeOf,
  planScans,
  type Counts,
  type Grade,
  type PlannedScan,
} from './plan.ts';
import { renderScan, type RenderedSlice } from './render.ts';
import { grainTile, smoothNoise, type SmoothNoise } from './texture.ts';

/** Raised whenever the same options give other files. */
const VERSION = 1;
const RECORD = 'phantoms.json';
const UNFINISHED = 'phantoms.unfinished.json';
const OURS = [
  'train',
  'validation',
  'test',
  'masks',
  'train_partition_covid_categories.csv',
  'val_partition_covid_categories.csv',
  'test_truth.csv',
  'patients.csv',
];

export interface PhantomOptions {
  folder: string;
  /** An integer, 0 … 2³²−1. The same seed and options give the same bytes (with one version of sharp). */
  seed: number;
  /** Scans per split and class. Default: train 12 + 12, val 5 + 5, test 3 + 3. */
  counts?: Counts;
  /** Slice width and height in pixels, 32 … 1024. Default: 128. */
  size?: number;
  /** Called after every scan with the number of scans done and of all. */
  onProgress?: (done: number, total: number) => void;
}

/** What `phantoms.json` says of a scan. */
interface ScanRecord {
  split: string;
  class: string;
  name: string;
  patient: string;
  slices: number;
  /** Share of the lung's voxels inside an opacity, over the slices as written. */
  affectedFraction: number;
  /** 1 mild (below 10 % affected), 2 moderate (below 25 %), 3 severe (below 50 %), 4 critical; null without Covid. */
  grade: Grade | null;
}

/**
 * Writes a data set of phantom scans in the COV19-CT-DB layout (train, validation, and test without class folders), with
 * the severity and patient lists, the truth of the test scans, and lung masks below `masks`.
 *
 * A folder that already holds the data set of the same options and version is left as it is (`made` is false). A folder
 * that holds a phantom data set of other options, or an unfinished one, is made anew. Throws a `UserError` for options
 * out of range and for a folder that holds anything else.
 */
export async function makePhantoms(
  options: PhantomOptions,
): Promise<{ made: boolean; scans: number; slices: number }> {
  const { folder, seed, counts = DEFAULT_COUNTS, size = 128, onProgress } = options;
  checkOptions({ seed, counts, size });
  const plan = planScans(seed, counts);
  const totals = { scans: plan.length, slices: plan.reduce((sum, { slices }) => sum + slices, 0) };
  const wanted = { version: VERSION, seed, size, counts: ordered(counts) };
  if (await holds(folder, wanted)) return { made: false, ...totals };

  await mkdir(folder, { recursive: true });
  await writeJson(join(folder, UNFINISHED), wanted);
  for (const name of [RECORD, ...OURS]) await rm(join(folder, name), { recursive: true, force: true });

  const shared = { seed, size, noise: smoothNoise(seed, 'tissue'), grain: grainTile(seed) };
  const records: ScanRecord[] = [];
  for (const scan of plan) {
    records.push(await makeScan(folder, scan, shared));
    onProgress?.(records.length, plan.length);
  }
  await writeLists(folder, records);
  await writeJson(join(folder, RECORD), { ...wanted, scans: records });
  await rm(join(folder, UNFINISHED));
  return { made: true, ...totals };
}

interface Shared {
  seed: number;
  size: number;
  noise: SmoothNoise;
  grain: Float32Array;
}

async function makeScan(folder: string, scan: PlannedScan, shared: Shared): Promise<ScanRecord> {
  const { seed, size, noise, grain } = shared;
  const images = join(folder, scan.path);
  const masks = join(folder, 'masks', scan.path);
  await Promise.all([mkdir(images, { recursive: true }), mkdir(masks, { recursive: true })]);
  const body = drawBody(seed, scan.patient);
  const slices = renderScan({
    body,
    lungs: drawLungs(seed, { scan, body, noise }),
    acquisition: drawAcquisition(seed, scan.acquisition),
    slices: scan.slices,
    size,
    noise,
    grain,
    grainKey: { seed, sample: scan.path },
  });
  const writes: Promise<void>[] = [];
  let lungPixels = 0;
  let affectedPixels = 0;
  for (const slice of slices) {
    lungPixels += slice.lungPixels;
    affectedPixels += slice.affectedPixels;
    const k = writes.length;
    writes.push(writeSlice(slice, { size, image: join(images, `${k}.jpg`), mask: join(masks, `${k}.png`) }));
  }
  await Promise.all(writes);
  const affectedFraction = affectedPixels / lungPixels;
  return {
    split: scan.split,
    class: scan.class,
    name: scan.name,
    patient: scan.patient,
    slices: scan.slices,
    affectedFraction,
    grade: scan.class === 'covid' ? gradeOf(affectedFraction) : null,
  };
}

async function writeSlice(slice: RenderedSlice, to: { size: number; image: string; mask: string }) {
  const raw = { width: to.size, height: to.size, channels: 1 } as const;
  const [jpeg, png] = await Promise.all([
    sharp(slice.grey, { raw }).toColourspace('b-w').jpeg({ quality: 95 }).toBuffer(),
    sharp(slice.mask, { raw }).toColourspace('b-w').png({ compressionLevel: 3 }).toBuffer(),
  ]);
  await Promise.all([writeFile(to.image, jpeg), writeFile(to.mask, png)]);
}

async function writeLists(folder: string, records: readonly ScanRecord[]) {
  const write = (name: string, lines: readonly string[]) =>
    writeFileAtomic(join(folder, name), lines.map((line) => `${line}\n`).join(''));
  const categories = (split: string) => [
    'Name;Category',
    ...records.filter((r) => r.split === split && r.grade !== null).map((r) => `${r.name};${r.grade}`),
  ];
  const byNumber = (a: ScanRecord, b: ScanRecord) => numberOf(a.name) - numberOf(b.name);
  const test = records.filter(({ split }) => split === 'test').sort(byNumber);
  await write('train_partition_covid_categories.csv', categories('train'));
  await write('val_partition_covid_categories.csv', categories('validation'));
  await write('test_truth.csv', ['name;class', ...test.map((r) => `${r.name};${r.class}`)]);
  const labelled = records.filter(({ split }) => split !== 'test');
  await write('patients.csv', [
    'split,class,name,patient',
    ...labelled.map((r) => [r.split, r.class, r.name, r.patient].join(',')),
    ...test.map((r) => [r.split, '', r.name, r.patient].join(',')),
  ]);
}

const numberOf = (name: string) => Number(name.slice(name.lastIndexOf('_') + 1));

/** Whether the folder holds exactly this data set. Throws when it holds something that is not a phantom data set. */
async function holds(folder: string, wanted: object): Promise<boolean> {
  const names = await list(folder);
  if (names.length === 0) return false;
  const record = await readJson(join(folder, RECORD));
  if (!names.includes(UNFINISHED) && !isRecord(record)) {
    throw new UserError('is not empty and holds no phantom data set', {
      file: folder,
      remedy: 'name an empty or a new folder',
    });
  }
  if (!isRecord(record)) return false;
  return isDeepStrictEqual({ ...record, scans: [] }, { ...wanted, scans: [] });
}

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

function isRecord(value: unknown): value is { version: number; scans: unknown[] } {
  return typeof value === 'object' && value !== null && 'version' in value && 'scans' in value;
}

function checkOptions({ seed, counts, size }: { seed: number; counts: Counts; size: number }) {
  checkInteger('seed', seed, [0, 2 ** 32 - 1]);
  checkInteger('size', size, [32, 1024]);
  for (const split of ['train', 'val', 'test'] as const)
    for (const label of CLASSES) checkInteger(`counts.${split}.${label}`, counts[split][label], [0, 100_000]);
}

function checkInteger(field: string, value: number, [low, high]: readonly [number, number]) {
  if (!Number.isInteger(value) || value < low || value > high)
    throw new UserError(`${field} is ${value}`, { remedy: `give an integer from ${low} to ${high}` });
}

function ordered({ train, val, test }: Counts): Counts {
  const pair = (of: Counts['train']) => ({ covid: of.covid, 'non-covid': of['non-covid'] });
  return { train: pair(train), val: pair(val), test: pair(test) };
}
