// The folder of one scan: which of its files are the scan, and what is odd about the others. Nothing is decoded.
import type { ScanFormat } from '../scan-entry.ts';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { mapConcurrent } from '../concurrent.ts';
import { counted, listed, type Finding } from '../findings.ts';
import { compareNames, niftiName, sliceNumber, type FolderListing } from './layout.ts';
import { isDicom } from '../readers/dicom/dicom-bytes.ts';

/** The files of one scan. */
export interface ScanFiles {
  format: ScanFormat;
  /** Absolute: slices in numeric order, DICOM files by name, one NIfTI file. */
  slices: readonly string[];
  /** Why the scan cannot be used, or null. */
  failure: string | null;
  odd: Finding[];
}

/** A scan with fewer slices than this is reported. */
const FEW_SLICES = 5;

/** What a scan's folder holds: images, if there is one; else a NIfTI file; else DICOM files. */
export async function readScanFolder(folder: string, listing: FolderListing): Promise<ScanFiles> {
  if (listing.files.some((file) => sliceNumber(file) !== undefined)) return imagesOf(folder, listing);
  const volumes = listing.files.filter((file) => niftiName(file) !== undefined);
  const dicom = volumes.length > 0 ? [] : await dicomFilesOf(folder, listing.files);
  const [format, files] = volumes.length > 0 ? (['nifti', volumes] as const) : (['dicom', dicom] as const);
  if (files.length === 0) return imagesOf(folder, listing);
  const odd: Finding[] = [];
  const tell = (kind: string, message: string) => odd.push({ kind, path: folder, message });
  tellOthers(listing, { taken: files, wanted: format === 'nifti' ? 'NIfTI' : 'DICOM', tell });
  const several = format === 'nifti' && files.length > 1;
  const failure = several ? `holds ${counted(files.length, 'NIfTI file')}, a scan is one` : null;
  if (failure !== null) tell('several-volumes', failure);
  return { format, slices: files.map((file) => join(folder, file)), failure, odd };
}

/** The files that are DICOM by their first bytes, whatever else they are called. */
async function dicomFilesOf(folder: string, files: readonly string[]): Promise<string[]> {
  const found = await mapConcurrent(files, 8, async (file) =>
    isTableOfContents(file) || !(await beginsAsDicom(join(folder, file))) ? [] : [file],
  );
  return found.flat();
}

/** A DICOMDIR, which lists the images of a disc and is none. */
const isTableOfContents = (file: string) => /^dicomdir$/i.test(file);

async function beginsAsDicom(path: string): Promise<boolean> {
  const handle = await open(path).catch(() => null); // what cannot be read is told as ignored
  if (handle === null) return false;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(256), 0, 256, 0);
    return isDicom(buffer.subarray(0, bytesRead));
  } catch {
    return false;
  } finally {
    await handle.close();
  }
}

function tellOthers(
  listing: FolderListing,
  {
    taken,
    wanted,
    tell,
  }: { taken: readonly string[]; wanted: string; tell: (kind: string, message: string) => void },
) {
  const strays = listing.files.filter((file) => !taken.includes(file));
  if (listing.system.length > 0) tell('system-files', systemMessage(listing.system));
  if (strays.length > 0)
    tell('ignored-file', `${counted(strays.length, 'file')} not ${wanted}: ${listed(strays)}`);
  if (listing.folders.length > 0)
    tell('ignored-folder', `holds ${counted(listing.folders.length, 'folder')}: ${listed(listing.folders)}`);
}

/** The slices of one scan in numeric order, and what is odd about the folder. */
function imagesOf(folder: string, listing: FolderListing) {
  const odd: Finding[] = [];
  const tell = (kind: string, message: string) => odd.push({ kind, path: folder, message });
  const files = listing.files
    .map((file) => ({ file, number: sliceNumber(file) }))
    .filter((slice): slice is { file: string; number: number } => slice.number !== undefined)
    .sort((a, b) => a.number - b.number || compareNames(a.file, b.file));
  const numbers = [...new Set(files.map(({ number }) => number))];
  tellOthers(listing, { taken: files.map(({ file }) => file), wanted: 'a slice (K.jpg or K.png)', tell });
  const gaps = numbers.slice(1).flatMap((number, i) => gapBetween(numbers[i]!, number));
  if (gaps.length > 0)
    tell('missing-slices', `no slice ${listed(gaps, 10)} between ${numbers[0]} and ${numbers.at(-1)}`);
  if (numbers.length < files.length) {
    const twice = files.filter(({ number }, i) => number === files[i - 1]?.number).map(({ file }) => file);
    tell('same-number', `more than one slice has the number of ${listed(twice)}; all are kept`);
  }
  if (files.length > 0 && files.length < FEW_SLICES)
    tell('few-slices', `has ${counted(files.length, 'slice')} only`);
  const failure =
    files.length === 0 ? 'the folder holds no slice (K.jpg or K.png), no DICOM and no NIfTI file' : null;
  if (failure !== null) tell('no-slices', failure);
  return { format: 'images' as const, slices: files.map(({ file }) => join(folder, file)), failure, odd };
}

function gapBetween(before: number, after: number): string[] {
  if (after - before < 2) return [];
  return [after - before === 2 ? `${before + 1}` : `${before + 1}–${after - 1}`];
}

/** What lies in a folder of scans and belongs to none. */
export function reportStrays(folder: string, { files, system }: FolderListing, findings: Finding[]) {
  if (system.length > 0)
    findings.push({ kind: 'system-files', path: folder, message: systemMessage(system) });
  const strays = files.filter((file) => niftiName(file) === undefined);
  if (strays.length > 0)
    findings.push({
      kind: 'ignored-file',
      path: folder,
      message: `${counted(strays.length, 'file')} outside any scan folder: ${listed(strays)}`,
    });
}

function systemMessage(names: readonly string[]) {
  return `${counted(names.length, 'system file')} ignored: ${listed(names)}`;
}
