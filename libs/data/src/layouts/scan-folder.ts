// The folder of one scan: which of its files are the scan, and findings about the others. Nothing is decoded.
import type { ScanFormat } from '../scan-entry.ts';
import { join } from 'node:path';
import { openRegularFile } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';
import { counted, listed, type Finding } from '../findings.ts';
import { compareNames, niftiName, sliceNumber, type FolderListing } from './listing.ts';
import { isDicom } from '../readers/dicom/dicom-bytes.ts';

/** The files of one scan. */
export interface ScanFiles {
  format: ScanFormat;
  /** Absolute: slices in numeric order, DICOM files by name, one NIfTI file. */
  slices: readonly string[];
  /** Why the scan cannot be used, or null. */
  failure: string | null;
  findings: Finding[];
}

/** A scan with fewer slices than this is reported. */
const FEW_SLICES = 5;

/** The scan that a folder holds: its images, if there are any; else its NIfTI file; else its DICOM files. */
export async function readScanFolder(folder: string, listing: FolderListing): Promise<ScanFiles> {
  if (listing.files.some((file) => sliceNumber(file) !== undefined)) return imagesOf(folder, listing);
  const volumes = listing.files.filter((file) => niftiName(file) !== undefined);
  const dicom = volumes.length > 0 ? [] : await dicomFilesOf(folder, listing.files);
  const [format, files] = volumes.length > 0 ? (['nifti', volumes] as const) : (['dicom', dicom] as const);
  if (files.length === 0) return imagesOf(folder, listing);
  const findings: Finding[] = [];
  const report = (kind: string, message: string) => findings.push({ kind, path: folder, message });
  reportOthers(listing, { taken: files, wanted: format === 'nifti' ? 'NIfTI' : 'DICOM', report });
  const several = format === 'nifti' && files.length > 1;
  const failure = several ? `holds ${counted(files.length, 'NIfTI file')}, a scan is one` : null;
  if (failure !== null) report('several-volumes', failure);
  return { format, slices: files.map((file) => join(folder, file)), failure, findings };
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
  const opened = await openRegularFile(path).catch(() => null); // a file that cannot be read is reported as ignored
  if (opened === null) return false;
  const { handle } = opened;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(256), 0, 256, 0);
    return isDicom(buffer.subarray(0, bytesRead));
  } catch {
    return false;
  } finally {
    await handle.close();
  }
}

function reportOthers(
  listing: FolderListing,
  {
    taken,
    wanted,
    report,
  }: { taken: readonly string[]; wanted: string; report: (kind: string, message: string) => void },
) {
  const strays = listing.files.filter((file) => !taken.includes(file));
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

/** The slices of one scan in numeric order, with findings about the folder. */
function imagesOf(folder: string, listing: FolderListing) {
  const findings: Finding[] = [];
  const report = (kind: string, message: string) => findings.push({ kind, path: folder, message });
  const files = listing.files
    .map((file) => ({ file, number: sliceNumber(file) }))
    .filter((slice): slice is { file: string; number: number } => slice.number !== undefined)
    .sort((a, b) => a.number - b.number || compareNames(a.file, b.file));
  const numbers = [...new Set(files.map(({ number }) => number))];
  reportOthers(listing, { taken: files.map(({ file }) => file), wanted: 'a slice (K.jpg or K.png)', report });
  const gaps = numbers.slice(1).flatMap((number, i) => gapBetween(numbers[i]!, number));
  if (gaps.length > 0)
    report('missing-slices', `no slice ${listed(gaps, 10)} between ${numbers[0]} and ${numbers.at(-1)}`);
  if (numbers.length < files.length) {
    const twice = files.filter(({ number }, i) => number === files[i - 1]?.number).map(({ file }) => file);
    report('same-number', `more than one slice has the number of ${listed(twice)}; all are kept`);
  }
  if (files.length > 0 && files.length < FEW_SLICES)
    report('few-slices', `has ${counted(files.length, 'slice')} only`);
  const failure =
    files.length === 0 ? 'the folder holds no slice (K.jpg or K.png), no DICOM and no NIfTI file' : null;
  if (failure !== null) report('no-slices', failure);
  return {
    format: 'images' as const,
    slices: files.map(({ file }) => join(folder, file)),
    failure,
    findings,
  };
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
  reportUnusable(folder, listing, findings);
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

function unusableMessage(names: readonly string[]) {
  return `${counted(names.length, 'file or folder')} not read, the name is not UTF-8: ${listed(names)}; rename it`;
}

function systemMessage(names: readonly string[]) {
  return `${counted(names.length, 'system file')} ignored: ${listed(names)}`;
}
