// Any folder of scans, however they are arranged: every folder of slices or DICOM files and every NIfTI file below it is
// a scan without class and split.
import { realpath } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';
import type { ScanEntry } from '../scan-entry.ts';
import type { Finding } from '../findings.ts';
import { compareNames, listFolder, niftiName, type FolderListing } from './layout.ts';
import { readScanFolder, reportStrays, type ScanFiles } from './scan-folder.ts';

/** Folders further below the root are not looked into. */
const MOST_LEVELS = 6;

interface Folder {
  path: string;
  listing: FolderListing;
}

/**
 * All scans in and below the root as test scans without a label: folders of slices or DICOM files, and NIfTI files.
 * Throws a UserError where there is none.
 */
export async function findAnyScans(
  root: string,
  listing: FolderListing,
  findings: Finding[],
): Promise<ScanEntry[]> {
  const folders = await foldersBelow({ path: root, listing }, findings);
  const found = await mapConcurrent(folders, 16, scansIn);
  findings.push(...found.flatMap(({ odd }) => odd));
  const scans = found.flatMap((folder) => folder.scans);
  if (scans.length === 0)
    throw new UserError('holds no scan', {
      file: root,
      remedy: 'give a folder of scans: folders of K.jpg or K.png slices, folders of DICOM files, NIfTI files',
    });
  const keys = keysOf(scans, root);
  const sorted = scans.map((scan, i) => ({ ...scan, key: keys[i]! }));
  sorted.sort((a, b) => compareNames(a.key, b.key));
  const names = namesOf(sorted.map(({ key }) => key));
  return sorted.map(({ key, format, slices, failure }, i) => ({
    key: `test/${key}`,
    split: 'test',
    name: names[i]!,
    label: null,
    format,
    slices,
    patient: null,
    failure,
  }));
}

/** The root and the folders below it, each once: links may lead in circles. */
async function foldersBelow(root: Folder, findings: Finding[]): Promise<Folder[]> {
  const folders: Folder[] = [];
  const seen = new Map<string, string>();
  const walk = async (folder: Folder, level: number) => {
    const real = await realpath(folder.path);
    const tell = (message: string) => findings.push({ kind: 'ignored-folder', path: folder.path, message });
    if (seen.has(real)) return void tell(`is the same folder as ${seen.get(real)}`);
    if (level > MOST_LEVELS) return void tell(`lies more than ${MOST_LEVELS} folders deep`);
    seen.set(real, folder.path);
    folders.push(folder);
    for (const name of folder.listing.folders) {
      const path = join(folder.path, name);
      await walk({ path, listing: await listFolder(path) }, level + 1);
    }
  };
  await walk(root, 0);
  return folders;
}

/** The folder's NIfTI files, each a scan; where it has none, its slices or DICOM files, one scan. */
async function scansIn({ path, listing }: Folder): Promise<{
  scans: (ScanFiles & { path: string })[];
  odd: Finding[];
}> {
  const odd: Finding[] = [];
  const volumes = listing.files.filter((file) => niftiName(file) !== undefined);
  if (volumes.length > 0) {
    reportStrays(path, listing, odd);
    const scans = volumes.map((file) => {
      const slices = [join(path, file)];
      return { path: join(path, file), format: 'nifti' as const, slices, failure: null, odd: [] };
    });
    return { scans, odd };
  }
  const scan = await readScanFolder(path, { ...listing, folders: [] });
  if (scan.slices.length > 0) return { scans: [{ path, ...scan }], odd: scan.odd };
  if (listing.folders.length === 0) return { scans: [], odd: scan.odd };
  reportStrays(path, listing, odd);
  return { scans: [], odd };
}

/** Paths below the root; of a NIfTI file without its ending, unless another scan has that path. */
function keysOf(scans: readonly { path: string; format: string }[], root: string): string[] {
  const whole = scans.map(({ path }) => relative(root, path).split(sep).join('/') || basename(resolve(root)));
  const short = scans.map(({ format }, i) => (format === 'nifti' ? niftiName(whole[i]!)! : whole[i]!));
  const count = new Map<string, number>();
  for (const key of short) count.set(key, (count.get(key) ?? 0) + 1);
  return eachOnce(short.map((key, i) => (count.get(key) === 1 ? key : whole[i]!)));
}

/** The second of a name becomes `name_2`, and so on. */
function eachOnce(names: readonly string[]): string[] {
  const taken = new Set<string>();
  return names.map((name) => {
    let unique = name;
    for (let k = 2; taken.has(unique); k++) unique = `${name}_${k}`;
    taken.add(unique);
    return unique;
  });
}

/** Names that a submission can hold: letters, digits, `.`, `_` and `-`, each once. */
function namesOf(keys: readonly string[]): string[] {
  return eachOnce(
    keys.map((key) => {
      const plain = key.replaceAll(/[^\p{L}\p{N}._-]+/gu, '_');
      return plain.toLowerCase() === 'patient' ? `scan_${plain}` : plain; // alone it is a submission's header
    }),
  );
}
