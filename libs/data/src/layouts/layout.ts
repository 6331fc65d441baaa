// How COV19-CT-DB and its copies name splits, classes, scans and slices, and the one name each has here.
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, messageOf, UserError } from '@ct-ensemble/core';

export type Split = 'train' | 'val' | 'test';

export const SPLITS: readonly Split[] = ['train', 'val', 'test'];

/** The layout in words, for errors. */
export const LAYOUT =
  '<root>/{train,val}/{covid,non-covid}/ct_scan_N/K.jpg, and optionally <root>/test/<scan>/K.jpg; ' +
  'a scan is a folder of JPEG or PNG slices or of DICOM files, or a NIfTI file';

const SPLIT_NAMES: Readonly<Record<string, Split>> = {
  train: 'train',
  training: 'train',
  val: 'val',
  valid: 'val',
  validation: 'val',
  test: 'test',
  testing: 'test',
};

const CLASS_NAMES: Readonly<Record<string, 'covid' | 'non-covid'>> = {
  cov: 'covid',
  covid: 'covid',
  covid19: 'covid',
  noncov: 'non-covid',
  noncovid: 'non-covid',
  noncovid19: 'non-covid',
};

/** The split a folder name stands for: `validation`, `Val`, `TRAIN`, … */
export function splitOf(folder: string): Split | undefined {
  return SPLIT_NAMES[plain(folder)];
}

/** The class a folder name stands for: `Covid`, `cov`, `Non-Covid`, `non_cov`, … */
export function classOf(folder: string): 'covid' | 'non-covid' | undefined {
  return CLASS_NAMES[plain(folder)];
}

/** The scan's name in its one spelling: `ct_scan183`, `CT-Scan-183` → `ct_scan_183`. Other names stay as they are. */
export function scanName(folder: string): string {
  const match = /^(test[_\- ]?)?ct[_\- ]?scan[_\- ]?(\d+)$/i.exec(folder.trim());
  return match ? `${match[1] === undefined ? '' : 'test_'}ct_scan_${match[2]}` : folder.trim();
}

/** The number of a slice file, the last run of digits before the ending (`12.jpg`, `slice_012.png`), or undefined. */
export function sliceNumber(file: string): number | undefined {
  const match = /(\d+)\D*\.(?:jpe?g|png)$/i.exec(file);
  return match ? Number(match[1]) : undefined;
}

/** The scan's name where the file is a whole scan, a NIfTI volume: `a` of `a.nii.gz`; else undefined. */
export function niftiName(file: string): string | undefined {
  return /^(.+)\.nii(\.gz)?$/i.exec(file)?.[1];
}

/** Files that operating systems leave behind: AppleDouble (`._12.jpg`), `.DS_Store`, `Thumbs.db`, … */
export function isSystemFile(name: string): boolean {
  return /^(\.|__MACOSX$|thumbs\.db$|desktop\.ini$|@eaDir$)/i.test(name);
}

/** Order of names in which runs of digits count as numbers (`a2` < `a10`), the rest by code units. */
export function compareNames(a: string, b: string): number {
  const left = a.split(/(\d+)/);
  const right = b.split(/(\d+)/);
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = i % 2 === 1 ? compareDigits(left[i]!, right[i]!) : compareText(left[i]!, right[i]!);
    if (order !== 0) return order;
  }
  return left.length - right.length || compareText(a, b);
}

/** What a folder holds, each in the order of `compareNames`. Links count as what they lead to. */
export interface FolderListing {
  folders: string[];
  files: string[];
  /** Left behind by operating systems. */
  system: string[];
}

export async function listFolder(folder: string): Promise<FolderListing> {
  let entries;
  try {
    entries = await readdir(folder, { withFileTypes: true });
  } catch (error) {
    const code = codeOf(error);
    const problem =
      code === 'ENOENT'
        ? 'there is no such folder'
        : code === 'ENOTDIR'
          ? 'is not a folder'
          : `cannot be listed (${messageOf(error)})`;
    throw new UserError(problem, { file: folder, remedy: `give a readable folder laid out as ${LAYOUT}` });
  }
  const listing: FolderListing = { folders: [], files: [], system: [] };
  for (const entry of entries) {
    const isFolder = entry.isSymbolicLink()
      ? await leadsToFolder(join(folder, entry.name))
      : entry.isDirectory();
    const list = isSystemFile(entry.name) ? listing.system : isFolder ? listing.folders : listing.files;
    list.push(entry.name);
  }
  for (const list of [listing.folders, listing.files, listing.system]) list.sort(compareNames);
  return listing;
}

async function leadsToFolder(link: string) {
  try {
    return (await stat(link)).isDirectory();
  } catch {
    return false; // A dangling link counts as a file: if it is a slice, preparation reports it.
  }
}

function plain(name: string) {
  return name.toLowerCase().replace(/[-_\s]/g, '');
}

function compareText(a: string, b: string) {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareDigits(a: string, b: string) {
  const left = a.replace(/^0+/, '');
  const right = b.replace(/^0+/, '');
  return left.length - right.length || compareText(left, right);
}
