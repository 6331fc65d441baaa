// Damaged inputs made from the corpus, and what must hold of each: a named error, or a scan whose slice count, sizes and
// lengths are right or that says what is wrong with it; within bounds of time and memory.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomStream, UserError } from '@ct-ensemble/core';
import { readDatasetIndex } from '../layouts/dataset-index.ts';
import { openSlices, readSliceFiles, type SliceFile } from '../readers/slice-source.ts';
import {
  columns,
  depth,
  grey,
  rows,
  soundScans,
  volume,
  type Files,
  type SoundScan,
} from './corpus.fixture.ts';
import { costOf, damaged, DAMAGES } from './damage.fixture.ts';
import { writeTree } from './dataset.fixture.ts';

const scans = Object.entries(await soundScans());

/** Number of sources: every format, transfer syntax and encoding. */
export const sources = scans.length;

export interface Outcomes {
  /** Read with all slices in their size, and nothing reported. */
  read: number;
  /** Read, with findings, or with images that cannot be decoded, which preparation reports. */
  reported: number;
  /** Ended as an error that names the file and a remedy. */
  refused: number;
}

/** `unlike`: read with another number or size of slices than are stored, and nothing reported. */
type Outcome = keyof Outcomes | 'unlike';

/** How a scan in memory is read; fails the test if an error does not name file and remedy, or lengths are wrong. */
async function outcomeOf(
  { format, hasChecksum }: Pick<SoundScan, 'format' | 'hasChecksum'>,
  files: readonly (readonly [string, SliceFile])[],
): Promise<Outcome> {
  const slices = files.map(([name]) => `scan/${name}`);
  const bytes = files.map(([, file]) => file);
  let source;
  try {
    source = await openSlices({ format, slices }, bytes, { values: format === 'images' ? undefined : 'hu' });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect([slices.includes(error.file ?? ''), Boolean(error.remedy), error.problem.length > 4]).toEqual([
      true,
      true,
      true,
    ]);
    return 'refused';
  }
  let isWhole = source.count === depth;
  for (let i = 0; i < source.count; i++) {
    try {
      const { image } = await source.decode(i);
      expect(image.data).toHaveLength(image.height * image.width);
      if (image.height !== rows || image.width !== columns) isWhole = false;
      else if (hasChecksum === true && isWhole) expect([...image.data]).toEqual(volume[i]!.map(grey));
    } catch (error) {
      expect(format).toBe('images');
      expect((error as Error).message).toMatch(/\w{3}/);
      return 'reported';
    }
  }
  for (const { kind, message } of source.findings) expect(kind && message).toBeTruthy();
  if (source.findings.length > 0) return 'reported';
  if (isWhole) return 'read';
  // Images say their size in a header with a checksum (PNG) or not (JPEG); preparation reports slices of another size.
  if (format === 'images') return 'reported';
  return 'unlike';
}

const asFile = (bytes: Uint8Array): SliceFile => ({ bytes, problem: null });

/**
 * Damages one file of a scan, `count` times: every kind of damage to every source in turn. Returns how they ended and the
 * cost.
 */
export async function countDamagedScans(count: number, from = 0) {
  const outcomes: Outcomes = { read: 0, reported: 0, refused: 0 };
  const cost = await costOf(
    (function* () {
      for (let seed = from; seed < from + count; seed++)
        yield async () => {
          const [name, scan] = scans[seed % scans.length]!;
          const kind = DAMAGES[Math.floor(seed / scans.length) % DAMAGES.length]!;
          const entries = Object.entries(scan.files);
          const hit = randomStream({ seed, purpose: 'damaged file' }).integer(entries.length);
          const files = entries.map(
            ([file, bytes], i) => [file, asFile(i === hit ? damaged(bytes, { seed, kind }) : bytes)] as const,
          );
          try {
            const outcome = await outcomeOf(scan, files);
            if (outcome === 'unlike')
              throw new Error('another size or number of slices, and nothing is reported');
            outcomes[outcome]++;
          } catch (error) {
            throw new Error(`${name}, ${kind}, seed ${seed}: ${(error as Error).message}`, { cause: error });
          }
        };
    })(),
  );
  return { ...outcomes, ...cost };
}

const OTHER_CONTENT = [
  '',
  'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n',
  '<!DOCTYPE html><html><body>404</body></html>',
  'PK\x03\x04 an archive',
  'DICM',
  '\xff\xd8\xff\xd9',
];

const NAMES = [
  '',
  '.',
  ' ',
  '\u202e',
  '-1e9',
  '1'.repeat(200),
  '%s%n',
  '12 (1)',
  'ä\u0308',
  '_mask',
  ';rm',
  '"\'',
];

/** What happens to a folder: a file is missing, doubled, renamed, of another format or of other content. */
const FOLDER_DAMAGES = ['missing', 'doubled', 'renamed', 'foreign', 'other content', 'nested'] as const;

function damagedFolder(files: Files, seed: number): Files {
  const { integer } = randomStream({ seed, purpose: 'damaged folder' });
  const names = Object.keys(files);
  const name = names[integer(names.length)]!;
  const ending = /(?:\.[a-z0-9]+)*$/.exec(name)![0];
  const { [name]: bytes, ...others } = files;
  const odd = `${NAMES[integer(NAMES.length)]!}${integer(2) === 0 ? '' : integer(100)}${ending}`;
  const foreign = Object.entries(scans[integer(scans.length)]![1].files);
  const other = foreign[integer(foreign.length)]!;
  switch (FOLDER_DAMAGES[seed % FOLDER_DAMAGES.length]!) {
    case 'missing':
      return others;
    case 'doubled':
      return { ...files, [`copy of ${name}`]: bytes! };
    case 'renamed':
      return { ...others, ...(/^\.*$/.test(odd) ? { [`x${odd}`]: bytes! } : { [odd]: bytes! }) };
    case 'foreign':
      return { ...files, [`other ${other[0]}`]: other[1] };
    case 'other content':
      return { ...others, [name]: Buffer.from(OTHER_CONTENT[integer(OTHER_CONTENT.length)]!, 'latin1') };
    case 'nested':
      return { ...others, [`below/${name}`]: bytes! };
  }
}

/** As `countDamagedScans`, of damaged folders on disk through the index. */
export async function countDamagedFolders(count: number, from = 0) {
  const outcomes: Outcomes = { read: 0, reported: 0, refused: 0 };
  const cost = await costOf(
    (function* () {
      for (let seed = from; seed < from + count; seed++)
        yield async () => {
          const [name, scan] = scans[Math.floor(seed / FOLDER_DAMAGES.length) % scans.length]!;
          const root = await mkdtemp(join(tmpdir(), 'damaged-'));
          try {
            await writeTree(damagedFolder(scan.files, seed), root);
            outcomes[await outcomeOfFolder(root)]++;
          } catch (error) {
            throw new Error(`${name}, folder, seed ${seed}: ${(error as Error).message}`, { cause: error });
          } finally {
            await rm(root, { recursive: true });
          }
        };
    })(),
  );
  return { ...outcomes, ...cost };
}

async function outcomeOfFolder(root: string): Promise<keyof Outcomes> {
  let index;
  try {
    index = await readDatasetIndex(root, { anyFolder: true });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect([error.file, Boolean(error.remedy)]).toEqual([root, true]);
    return 'refused';
  }
  const outcomes = new Set<Outcome>();
  for (const scan of index.scans) {
    const files = scan.failure === null ? await readSliceFiles(scan.slices) : [];
    const named = files.map((file, i) => [scan.slices[i]!.slice(root.length + 1), file] as const);
    outcomes.add(scan.failure === null ? await outcomeOf({ format: scan.format }, named) : 'reported');
  }
  if (index.report.findings.length > 0 || outcomes.size > 1) return 'reported';
  const [only] = outcomes;
  return only === 'unlike' ? 'read' : only!; // nobody can see that the last slices are missing
}
