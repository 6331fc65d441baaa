// Small data sets in temporary folders, for the tests of this library.
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import type { ScanEntry } from '../scan-entry.ts';

export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'ct-ensemble-data-'));
}

/** Writes files by relative path; a path that ends in `/` makes an empty folder. Returns the root. */
export async function writeTree(files: Record<string, string | Uint8Array>, root?: string): Promise<string> {
  const at = root ?? (await temporaryFolder());
  for (const [path, content] of Object.entries(files)) {
    if (path.endsWith('/')) {
      await mkdir(join(at, path), { recursive: true });
      continue;
    }
    await mkdir(dirname(join(at, path)), { recursive: true });
    await writeFile(join(at, path), content);
  }
  return at;
}

/** Text files in place of slices, since the index does not decode them: `count` files 0.jpg …, different in each folder. */
export function slices(folder: string, count = 6): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, k) => [`${folder}/${k}.jpg`, `${folder} ${k}`]),
  );
}

/** The smallest data set without findings: one scan of each class in train and in val. */
export function plainDataset(): Record<string, string> {
  return {
    ...slices('train/covid/ct_scan_0'),
    ...slices('train/non-covid/ct_scan_0'),
    ...slices('val/covid/ct_scan_0'),
    ...slices('val/non-covid/ct_scan_0'),
  };
}

export interface Pixels {
  width: number;
  height: number;
  channels: 1 | 2 | 3 | 4;
  values: readonly number[] | Uint8Array | Uint16Array;
}

/** Encodes pixels as an 8-bit PNG. */
export async function png({ width, height, channels, values }: Pixels): Promise<Uint8Array> {
  const image = sharp(Uint8Array.from(values), { raw: { width, height, channels } });
  return (channels < 3 ? image.toColourspace('b-w') : image).png().toBuffer();
}

/** A PNG of one grey value. */
export function flatPng(value: number, size = 8): Promise<Uint8Array> {
  return png({ width: size, height: size, channels: 1, values: new Uint8Array(size * size).fill(value) });
}

/** Writes PNG slices with these contents to a temporary folder and returns their scan entry. */
export async function scanOf(contents: readonly Uint8Array[], name = 'ct_scan_0'): Promise<ScanEntry> {
  const folder = await temporaryFolder();
  await writeTree(Object.fromEntries(contents.map((bytes, k) => [`${k}.png`, bytes])), folder);
  return {
    key: `train/covid/${name}`,
    split: 'train',
    name,
    label: 1,
    format: 'images',
    slices: contents.map((_, k) => join(folder, `${k}.png`)),
    patient: null,
    group: null,
    failure: null,
  };
}

const shared =
  process.env['CT_ENSEMBLE_SHARED'] ??
  resolve(dirname(fileURLToPath(import.meta.url)), '../../../../../shared');

/** Folder of real scans beside the checkout; null if it is absent. */
export const realData = existsSync(join(shared, 'data/sarscov2-ct-series'))
  ? join(shared, 'data/sarscov2-ct-series')
  : null;

/** Like `test`; skipped, with the reason in its name, if the real scans are absent. */
export function testOnRealData(name: string, body: (root: string) => Promise<void>) {
  if (realData === null)
    test.skip(`${name} (no shared/data/sarscov2-ct-series beside the checkout)`, () => undefined);
  else test(name, () => body(realData));
}
