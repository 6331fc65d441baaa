// The folder of one scan: which of its files are the scan, and findings about the others. Nothing is decoded.
import type { ScanFormat } from '../scan-entry.ts';
import { join } from 'node:path';
import { mapConcurrent } from '../concurrent.ts';
import { counted, listed, type Finding } from '../findings.ts';
import { isVoxelFile, volumeName, type FolderListing } from './listing.ts';
import { holdsLabels, isNamedMask, isNamedPreview, masksAmong } from './masks.ts';
import { seenInstead } from './no-scan.ts';
import { isSliceName, orderSliceNames, type NamedSlice } from './slice-names.ts';
import { beginningOf } from './beginning.ts';
import { isDicom } from '../readers/dicom/dicom-bytes.ts';
import {
  dataFileOf,
  HEADER_BEGINNING,
  isDetachedHeader,
  volumeOf,
  type VolumeFormat,
} from '../readers/volume-formats.ts';

/** The files of one scan. */
export interface ScanFiles {
  format: ScanFormat;
  /** Absolute: slices in numeric order, DICOM files by name, one volume file, or its header and its file of voxels. */
  slices: readonly string[];
  /** Why the scan cannot be used, or null. */
  failure: string | null;
  findings: Finding[];
}

/** A scan with fewer slices than this is reported. */
const FEW_SLICES = 5;

/** What a folder holds as scans, by most of its files. */
export interface FolderContent {
  format: 'images' | 'dicom' | 'volumes';
  /** The files of that format; of volumes those that are not masks of others. */
  files: string[];
}

/**
 * What most files of a folder are: images, DICOM files or volumes. A volume file (NIfTI, MetaImage, NRRD), a whole scan, counts as much as
 * `FEW_SLICES` slices, so that neither a mask among DICOM files nor a few pictures beside a volume decide. If two are
 * equally many, DICOM comes before images.
 */
export async function contentOf(folder: string, files: readonly string[]): Promise<FolderContent> {
  const all = new Set(files);
  const images = files.filter(isSliceName);
  const volumes = files.filter((file) => volumeName(file) !== undefined);
  const dicom = await dicomFilesOf(
    folder,
    files.filter((file) => !isSliceName(file) && volumeName(file) === undefined && !isVoxelFile(file, all)),
  );
  const previewed = new Set(dicom.map(stemOf));
  const pictures = images.filter((file) => !previewed.has(stemOf(file)) && !isNamedPreview(stemOf(file)));
  const slices = Math.max(pictures.length, dicom.length);
  const scans = slices > 0 ? volumes.filter((file) => !isNamedMask(volumeName(file)!)) : volumes;
  if (scans.length > 0 && (await countsAsMuch(folder, scans, { dicom: dicom.length, slices })))
    return { format: 'volumes', files: withoutMasks(volumes) };
  return dicom.length > 0 && dicom.length >= pictures.length
    ? { format: 'dicom', files: dicom }
    : { format: 'images', files: images };
}

const stemOf = (file: string) => file.replace(/\.[^.]*$/, '');

/** Volumes of which the values are looked at beside a DICOM series, at most. */
const MOST_READ = 8;

/** Whether the volumes count as much as the slices. Beside a DICOM series those that hold labels only do not count. */
async function countsAsMuch(
  folder: string,
  volumes: readonly string[],
  { dicom, slices }: { dicom: number; slices: number },
): Promise<boolean> {
  if (volumes.length * FEW_SLICES < slices) return false;
  if (dicom < 2 || volumes.length > MOST_READ) return true;
  const labels = await mapConcurrent(volumes, 2, async (file) =>
    holdsLabels(await volumeFiles(join(folder, file))),
  );
  const count = labels.filter((areLabels) => !areLabels).length;
  return count > 0 && count * FEW_SLICES >= slices;
}

const ONLY_MASK = /^(?:masks?|seg|segmentation|labels?|gt|roi)$/i;

/** The volumes that are not masks by their names: `a_mask.nii` beside `a.nii`, or `mask.nii` beside another. */
function withoutMasks(volumes: readonly string[]): string[] {
  const names = volumes.map((file) => volumeName(file)!);
  const masks = masksAmong(names);
  const hasPlain = names.some((name) => !isNamedMask(name));
  return volumes.filter((_, i) => !masks.has(names[i]!) && !(hasPlain && ONLY_MASK.test(names[i]!)));
}

/** The volume files of a folder of scans. Masks of others are left out, with a finding. */
export function volumesOf(folder: string, files: readonly string[], findings: Finding[]): string[] {
  const volumes = files.filter((file) => volumeName(file) !== undefined);
  const scans = withoutMasks(volumes);
  const kept = new Set(scans);
  const masks = volumes.filter((file) => !kept.has(file));
  if (masks.length > 0) {
    const message = `${counted(masks.length, 'mask')} of other volumes ignored: ${listed(masks)}`;
    findings.push({ kind: 'ignored-masks', path: folder, message });
  }
  return scans;
}

/** The scan that a folder holds: what most of its files are; the other files are reported. */
export async function readScanFolder(
  folder: string,
  listing: FolderListing,
  content?: FolderContent,
): Promise<ScanFiles> {
  const { format, files } = content ?? (await contentOf(folder, listing.files));
  if (format === 'images') return imagesOf(folder, listing);
  const findings: Finding[] = [];
  const report = (kind: string, message: string) => findings.push({ kind, path: folder, message });
  const scans = new Set(files);
  reportOthers(listing, {
    taken: [...files, ...listing.files.filter((file) => isVoxelFile(file, scans))],
    wanted: format === 'volumes' ? 'a volume or a mask of it' : 'DICOM',
    report,
  });
  const paths = pathsIn(folder, files);
  if (format === 'dicom') return { format, slices: paths, failure: null, findings };
  if (files.length === 1) return { ...(await volumeFiles(paths[0]!)), findings };
  const failure = `holds ${counted(files.length, 'volume file')}, a scan is one`;
  report('several-volumes', failure);
  return { format: volumeOf(paths[0]!)!.format, slices: paths, failure, findings };
}

/** A volume file as a scan. A header that names a file of voxels has that as its second file. */
export async function volumeFiles(
  path: string,
): Promise<{ format: VolumeFormat; slices: readonly string[]; failure: null }> {
  const beginning = isDetachedHeader(path) ? await beginningOf(path, HEADER_BEGINNING) : null;
  const voxels = beginning && dataFileOf(path, beginning);
  return { format: volumeOf(path)!.format, slices: voxels ? [path, voxels] : [path], failure: null };
}

/** The files that are DICOM by their first bytes; their names do not matter. */
async function dicomFilesOf(folder: string, files: readonly string[]): Promise<string[]> {
  const found = await mapConcurrent(files, 8, async (file) =>
    isTableOfContents(file) || !(await beginsAsDicom(join(folder, file))) ? [] : [file],
  );
  return found.flat();
}

/** A DICOMDIR: the table of contents of a disc, no image. */
const isTableOfContents = (file: string) => /^dicomdir$/i.test(file);

/** Whether the file begins like a DICOM file; false if it cannot be read or is not a regular file. */
export async function beginsAsDicom(path: string): Promise<boolean> {
  const bytes = await beginningOf(path, 256);
  return bytes !== null && isDicom(bytes);
}

function reportOthers(
  listing: FolderListing,
  {
    taken,
    wanted,
    report,
  }: { taken: readonly string[]; wanted: string; report: (kind: string, message: string) => void },
) {
  const known = new Set(taken);
  const strays = listing.files.filter((file) => !known.has(file));
  if (listing.system.length > 0) report('system-files', systemMessage(listing.system));
  if (listing.unusable.length > 0) report('unusable-name', unusableMessage(listing.unusable));
  if (strays.length > 0)
    report('ignored-file', `${counted(strays.length, 'file')} not ${wanted}: ${listed(strays)}`);
  if (listing.folders.length > 0)
    report(
      'ignored-folder',
      `holds ${counted(listing.folders.length, 'folder')}: ${listed(listing.folders)}`,
    );
}

/** The slices of one scan in the order of their numbers, with findings about the folder. */
async function imagesOf(folder: string, listing: FolderListing) {
  const findings: Finding[] = [];
  const report = (kind: string, message: string) => findings.push({ kind, path: folder, message });
  const { slices: files, masks, unlike, hasSeveralNumbers } = orderSliceNames(listing.files);
  const taken = [...files.map(({ file }) => file), ...masks];
  reportOthers(listing, { taken, wanted: 'a slice (K.jpg or K.png)', report });
  if (masks.length > 0)
    report(
      'ignored-masks',
      `${counted(masks.length, 'mask')} ${masks.some(isNamedPreview) ? 'or previews ' : ''}of other slices ignored: ${listed(masks)}`,
    );
  if (unlike.length > 0)
    report(
      'mixed-names',
      `${counted(unlike.length, 'slice')} named unlike the others, placed by the last number: ${listed(unlike)}`,
    );
  if (hasSeveralNumbers)
    report(
      'several-numbers',
      `no single number in the names tells the slices apart, such as ${files[0]!.file} and ${files.at(-1)!.file}: ` +
        'they may be of several scans; all numbers give the order',
    );
  reportNumbers(files, report);
  if (files.length > 0 && files.length < FEW_SLICES)
    report('few-slices', `has ${counted(files.length, 'slice')} only`);
  const seen = files.length === 0 ? await seenInstead(folder, listing.files) : null;
  const failure =
    seen &&
    `the folder holds no slice (K.jpg or K.png), no DICOM file and no volume (NIfTI, MetaImage, NRRD), but ${[seen.seen, ...seen.remedies].join(': ')}`;
  if (failure !== null) report('no-slices', failure);
  return {
    format: 'images' as const,
    slices: pathsIn(
      folder,
      files.map(({ file }) => file),
    ),
    failure,
    findings,
  };
}

/**
 * The paths of the files of a folder. V8 keeps a string that was put together as a tree of its parts, which takes five times the
 * memory of its characters; an index of 100 000 scans has tens of millions of paths.
 */
function pathsIn(folder: string, files: readonly string[]): string[] {
  return files.map((file) => Buffer.from(join(folder, file)).toString());
}

/** Reports whole numbers that are missing, and numbers that several slices have. */
function reportNumbers(files: readonly NamedSlice[], report: (kind: string, message: string) => void) {
  const numbers = [...new Set(files.flatMap(({ number }) => number ?? []))];
  const gaps = numbers.every(Number.isInteger)
    ? numbers.slice(1).flatMap((number, i) => gapBetween(numbers[i]!, number))
    : [];
  if (gaps.length > 0)
    report('missing-slices', `no slice ${listed(gaps, 10)} between ${numbers[0]} and ${numbers.at(-1)}`);
  const twice = files.filter(({ number }, i) => number !== null && number === files[i - 1]?.number);
  if (twice.length > 0) {
    const names = listed(twice.map(({ file }) => file));
    report('same-number', `more than one slice has the number of ${names}; all are kept`);
  }
}

function gapBetween(before: number, after: number): string[] {
  if (after - before < 2) return [];
  return [after - before === 2 ? `${before + 1}` : `${before + 1}–${after - 1}`];
}

/** Reports the names in a folder that are not UTF-8. */
export function reportUnusable(folder: string, { unusable }: FolderListing, findings: Finding[]) {
  if (unusable.length > 0)
    findings.push({ kind: 'unusable-name', path: folder, message: unusableMessage(unusable) });
}

/** Reports the files of a folder of scans that belong to no scan. */
export function reportStrays(folder: string, listing: FolderListing, findings: Finding[]) {
  const { files, system } = listing;
  const all = new Set(files);
  reportUnusable(folder, listing, findings);
  if (system.length > 0)
    findings.push({ kind: 'system-files', path: folder, message: systemMessage(system) });
  const strays = files.filter((file) => volumeName(file) === undefined && !isVoxelFile(file, all));
  if (strays.length > 0)
    findings.push({
      kind: 'ignored-file',
      path: folder,
      message: `${counted(strays.length, 'file')} outside any scan folder: ${listed(strays)}`,
    });
}

function unusableMessage(names: readonly string[]) {
  return `${counted(names.length, 'file or folder')} not read, the name is not UTF-8: ${listed(names)}; rename it`;
}

function systemMessage(names: readonly string[]) {
  return `${counted(names.length, 'system file')} ignored: ${listed(names)}`;
}
