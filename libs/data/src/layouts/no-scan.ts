// What a folder without a scan holds instead, and how to make scans of it: for the error that says so.
import { basename, extname, join } from 'node:path';
import { counted, listed } from '../findings.ts';
import { BEGINNING, contentOfBytes } from '../readers/other-content.ts';
import { beginningOf } from './beginning.ts';
import { listFolder } from './listing.ts';
import { isSliceName } from './slice-names.ts';
import { addToGroup } from '../lists.ts';

/** What was seen, in words, and the remedies for it. */
export interface SeenInstead {
  /** `8 .tif files`; `nothing` for an empty folder. */
  seen: string;
  remedies: string[];
}

/** Files and folders that are looked at, at most. */
const [MOST_FILES, MOST_LEVELS] = [10_000, 6];
/** Files of which the content is looked at, at most, for each ending. */
const MOST_OPENED = 3;

const kinds: readonly { ending: RegExp; what?: string; remedy: string }[] = [
  {
    ending: /\.(?:jpe?g|png)$/i,
    what: ' without a number in their names',
    remedy: 'number the slices in their order: 1.png, 2.png, …',
  },
  {
    ending: /\.(?:tiff?|bmp|webp|gif|jp2|j2k|ppm|pgm|avif)$/i,
    remedy: 'convert these images to PNG, which keeps 16 bits',
  },
  { ending: /\.(?:zip|rar|7z|tar|tgz|gz|bz2|xz|zst)$/i, remedy: 'unpack the archives' },
  {
    ending: /\.(?:npy|npz|mat|h5|hdf5|pkl|pt|tfrecords?)$/i,
    remedy: 'write the arrays as NIfTI files, such as with nibabel',
  },
  { ending: /\.(?:img|hdr)$/i, remedy: 'convert each pair of .hdr and .img to one .nii file' },
  { ending: /\.(?:raw|zraw|bin|dat)$/i, remedy: 'put the header (.mhd or .nhdr) beside the voxels' },
  {
    ending: /^dicomdir$/i,
    what: ' (the table of contents of a disc)',
    remedy: 'copy the folders of DICOM files from the disc as well',
  },
  { ending: /\.(?:dcm|ima|dicom)$/i, what: ' that are not DICOM', remedy: 'export the DICOM series again' },
];

/** Looks at the files of a folder, or at those of all folders below it too. */
export async function seenInstead(folder: string, files?: readonly string[]): Promise<SeenInstead> {
  const paths = files?.map((file) => join(folder, file)) ?? (await filesBelow(folder));
  if (paths.length === 0) return { seen: 'no file', remedies: [] };
  const groups = new Map<string, string[]>();
  for (const path of paths) {
    const key = `${endingOf(path)}${isSliceName(path.slice(path.lastIndexOf('/') + 1)) ? ' ' : ''}`;
    addToGroup(groups, key, path);
  }
  const seen: string[] = [];
  const remedies = new Set<string>();
  const largest = [...groups].sort(([, a], [, b]) => b.length - a.length).slice(0, 8);
  for (const [key, group] of largest) {
    const ending = key.trim();
    const named = counted(group.length, ending === '' ? 'file without an ending' : `${ending} file`);
    const count = ending === '' && group.length > 1 ? `${group.length} files without an ending` : named;
    const kind = kinds.find((each) => each.ending.test(ending));
    const isArchive = kind?.remedy === 'unpack the archives';
    const content = isArchive ? null : await contentIn(group);
    const isNumbered = key.endsWith(' ');
    if (content !== null) remedies.add(content.remedy);
    else if (kind !== undefined && !isNumbered) remedies.add(kind.remedy);
    const note =
      content !== null ? ` (of which one ${content.problem})` : isNumbered ? '' : (kind?.what ?? '');
    seen.push(
      `${count}${group.length === 1 ? note.replace('their names', 'its name').replace('are not', 'is not') : note}`,
    );
  }
  if (groups.size > largest.length) seen.push(`files of ${groups.size - largest.length} other kinds`);
  return { seen: listed(seen, 9), remedies: [...remedies] };
}

/** `holds no scan but 8 .tif files`: a problem, and what was seen. */
export function withSeen(problem: string, { seen }: SeenInstead): string {
  return `${problem}; it holds ${seen}`;
}

/** The remedies for what was seen, before the usual one. */
export function remedyFor(usual: string, { remedies }: SeenInstead): string {
  return [...remedies, usual].join('; or ');
}

function endingOf(path: string): string {
  if (/^dicomdir$/i.test(basename(path))) return 'DICOMDIR';
  const double = /\.(?:nii|tar)\.(?:gz|bz2|xz)$/i.exec(path)?.[0];
  return (double ?? extname(path)).toLowerCase();
}

async function contentIn(paths: readonly string[]) {
  for (const path of paths.slice(0, MOST_OPENED)) {
    const bytes = await beginningOf(path, BEGINNING);
    const content = bytes && contentOfBytes(bytes);
    if (content) return content;
  }
  return null;
}

async function filesBelow(root: string): Promise<string[]> {
  const found: string[] = [];
  let folders = 0;
  const walk = async (folder: string, level: number) => {
    const listing = await listFolder(folder).catch(() => null);
    if (listing === null || ++folders > MOST_FILES) return;
    for (const file of listing.files) if (found.length < MOST_FILES) found.push(join(folder, file));
    if (level < MOST_LEVELS) for (const name of listing.folders) await walk(join(folder, name), level + 1);
  };
  await walk(root, 0);
  return found;
}
