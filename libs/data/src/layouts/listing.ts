// What a folder holds, and which of its names are slices, volumes or files of the operating system.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf, messageOf, readFolder, UserError } from '@ct-ensemble/core';
import { volumeOf } from '../readers/volume-formats.ts';

/** The scan's name if the file is a volume, a whole scan: `a` of `a.nii.gz`, `a.mha` or `a.nrrd`; else undefined. */
export const volumeName = (file: string): string | undefined => volumeOf(file)?.name;

/** Whether a file holds the voxels of a header beside it by its name: `a.raw` beside `a.mhd` or `a.nhdr`. */
export function isVoxelFile(file: string, files: ReadonlySet<string>): boolean {
  const name = /^(.+?)\.(?:z?raw|img|bin|dat)(?:\.gz)?$/i.exec(file)?.[1];
  return name !== undefined && (files.has(`${name}.mhd`) || files.has(`${name}.nhdr`));
}

/** Files that operating systems leave behind: AppleDouble (`._12.jpg`), `.DS_Store`, `Thumbs.db`, … */
export function isSystemFile(name: string): boolean {
  return /^(\.|__MACOSX$|thumbs\.db$|desktop\.ini$|@eaDir$)/i.test(name);
}

/** Order of names in which runs of digits count as numbers (`a2` < `a10`), all other characters by code units. */
export function compareNames(a: string, b: string): number {
  const left = a.split(/(\d+)/);
  const right = b.split(/(\d+)/);
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = i % 2 === 1 ? compareDigits(left[i]!, right[i]!) : compareText(left[i]!, right[i]!);
    if (order !== 0) return order;
  }
  return left.length - right.length || compareText(a, b);
}

/** What a folder holds, each list in the order of `compareNames`. A link counts as what it points to. */
export interface FolderListing {
  folders: string[];
  files: string[];
  /** Files and folders left behind by operating systems. */
  system: string[];
  /** Names that are not UTF-8, their bytes shown as `\\xff`: they cannot be opened and are only reported. */
  unusable: string[];
}

/** Lists a folder. Throws a UserError if it is missing, no folder or not readable. */
export async function listFolder(folder: string): Promise<FolderListing> {
  let found;
  try {
    found = await readFolder(folder);
  } catch (error) {
    const code = codeOf(error);
    const problem =
      code === 'ENOENT'
        ? 'there is no such folder'
        : code === 'ENOTDIR'
          ? 'is not a folder'
          : `cannot be listed (${messageOf(error)})`;
    throw new UserError(problem, { file: folder, remedy: 'give a readable folder of scans' });
  }
  const listing: FolderListing = { folders: [], files: [], system: [], unusable: found.notUtf8 };
  for (const entry of found.entries) {
    const isFolder = entry.isSymbolicLink()
      ? await pointsToFolder(join(folder, entry.name))
      : entry.isDirectory();
    const list = isSystemFile(entry.name) ? listing.system : isFolder ? listing.folders : listing.files;
    list.push(entry.name);
  }
  for (const list of [listing.folders, listing.files, listing.system]) list.sort(compareNames);
  return listing;
}

async function pointsToFolder(link: string) {
  try {
    return (await stat(link)).isDirectory();
  } catch {
    return false; // A dangling link counts as a file: if it is a slice, preparation reports it.
  }
}

function compareText(a: string, b: string) {
  return a < b ? -1 : a > b ? 1 : 0;
}

function compareDigits(a: string, b: string) {
  const left = a.replace(/^0+/, '');
  const right = b.replace(/^0+/, '');
  return left.length - right.length || compareText(left, right);
}
