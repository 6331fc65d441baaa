// Finds the scans below a folder, however they are arranged: every folder of slices or DICOM files and every volume file.
import { realpath } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import { mapConcurrent } from '../concurrent.ts';
import { counted, listed, type Finding } from '../findings.ts';
import { listFolder, volumeName, type FolderListing } from './listing.ts';
import { isMask, namesBelow } from './masks.ts';
import {
  contentOf,
  readScanFolder,
  reportStrays,
  volumeFiles,
  volumesOf,
  type ScanFiles,
} from './scan-folder.ts';
import { addAll } from '../lists.ts';

/** Folders further below the start are not searched. */
const MOST_LEVELS = 6;

export interface Folder {
  path: string;
  listing: FolderListing;
}

/** The files of one scan and where they lie. */
export interface FoundFiles extends Omit<ScanFiles, 'findings'> {
  /** Folder of the slices or DICOM files, or the volume file, absolute. */
  path: string;
}

export interface SearchOptions {
  /** Folders whose own files are not looked at; the folders below them are. */
  skipped?: ReadonlySet<string>;
  /** A folder without any scan or folder in it is a failed scan. Default: it is reported only. */
  emptyIsScan?: boolean;
}

/** All scans in and below a folder: folders of slices or DICOM files, and volume files. */
export async function scansBelow(
  start: Folder,
  findings: Finding[],
  options: SearchOptions = {},
): Promise<FoundFiles[]> {
  const folders = await foldersBelow(start, findings);
  const wanted = folders.filter(({ path }) => options.skipped?.has(path) !== true);
  const found = await mapConcurrent(wanted, 16, (folder) => scansIn(folder, options));
  const all = found.flatMap(({ scans }) => scans);
  const are = await mapConcurrent(all, 4, (scan) => isMask(scan, start.path));
  const masks = all.filter((_, i) => are[i]!);
  if (masks.length === 0 || masks.length === all.length) {
    for (const folder of found) addAll(findings, folder.findings);
    return all;
  }
  const folderOf = new Map(found.flatMap((folder) => folder.scans.map((scan) => [scan, folder] as const)));
  const onlyMasks = new Set(
    masks.filter(({ format }) => format === 'images').map((mask) => folderOf.get(mask)),
  );
  for (const folder of found) if (!onlyMasks.has(folder)) addAll(findings, folder.findings);
  const names = listed(
    namesBelow(
      start.path,
      masks.map(({ path }) => path),
    ),
  );
  const message = `${counted(masks.length, 'mask')} ignored, by the names and by the values, which are a few labels: ${names}`;
  findings.push({ kind: 'ignored-masks', path: start.path, message });
  return all.filter((_, i) => !are[i]!);
}

/** The start and the folders below it, each once: links may lead in circles. */
async function foldersBelow(start: Folder, findings: Finding[]): Promise<Folder[]> {
  const folders: Folder[] = [];
  const seen = new Map<string, string>();
  const walk = async (folder: Folder, level: number) => {
    const real = await realpath(folder.path);
    const ignore = (message: string) => findings.push({ kind: 'ignored-folder', path: folder.path, message });
    if (seen.has(real)) return void ignore(`is the same folder as ${seen.get(real)}`);
    if (level > MOST_LEVELS) return void ignore(`lies more than ${MOST_LEVELS} folders deep`);
    seen.set(real, folder.path);
    folders.push(folder);
    for (const name of folder.listing.folders) {
      const path = join(folder.path, name);
      await walk({ path, listing: await listFolder(path) }, level + 1);
    }
  };
  await walk(start, 0);
  return folders;
}

/** The folder's volume files, each a scan, or its slices or DICOM files, one scan: whichever most of its files are. */
async function scansIn(
  { path, listing }: Folder,
  { emptyIsScan = false }: SearchOptions,
): Promise<{ scans: FoundFiles[]; findings: Finding[] }> {
  const findings: Finding[] = [];
  const content = await contentOf(path, listing.files);
  if (content.format === 'volumes') {
    const volumes = volumesOf(path, listing.files, findings);
    reportStrays(path, listing, findings);
    return { scans: await volumeScans(path, volumes), findings };
  }
  const { findings: own, ...scan } = await readScanFolder(path, { ...listing, folders: [] }, content);
  if (scan.slices.length > 0) return { scans: [{ path, ...scan }], findings: own };
  if (listing.folders.length === 0) return { scans: emptyIsScan ? [{ path, ...scan }] : [], findings: own };
  reportStrays(path, listing, findings);
  return { scans: [], findings };
}

/** Volume files of a folder, each as a scan. */
export function volumeScans(folder: string, files: readonly string[]): Promise<FoundFiles[]> {
  return mapConcurrent(files, 8, (file) => volumeScan(join(folder, file)));
}

/** A volume file as a scan. */
export async function volumeScan(file: string): Promise<FoundFiles> {
  return { path: file, ...(await volumeFiles(file)) };
}

/** Paths below the root, '/'-separated; of a volume file without its ending, unless another scan has that path. */
export function keysOf(scans: readonly { path: string; format: string }[], root: string): string[] {
  const whole = scans.map(
    ({ path }) => relative(root, path).split(sep).join('/').normalize('NFC') || basename(resolve(root)),
  );
  const short = scans.map(({ format }, i) =>
    format === 'images' || format === 'dicom' ? whole[i]! : (volumeName(whole[i]!) ?? whole[i]!),
  );
  const count = countEach(short);
  return eachOnce(short.map((key, i) => (count.get(key) === 1 ? key : whole[i]!)));
}

/**
 * Names that a submission can hold: letters, digits, `.`, `_` and `-`, each once. A name that several scans share is
 * replaced by the scan's key.
 */
export function namesOf(scans: readonly { key: string; name: string }[]): string[] {
  const count = countEach(scans.map(({ name }) => name));
  return eachOnce(
    scans.map(({ key, name }) => {
      const plain = (count.get(name) === 1 ? name : key).replaceAll(/[^\p{L}\p{N}._-]+/gu, '_');
      return plain.toLowerCase() === 'patient' ? `scan_${plain}` : plain; // alone it is a submission's header
    }),
  );
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

function countEach(names: readonly string[]): Map<string, number> {
  const count = new Map<string, number>();
  for (const name of names) count.set(name, (count.get(name) ?? 0) + 1);
  return count;
}
