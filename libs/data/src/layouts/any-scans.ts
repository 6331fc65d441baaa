// Scans wherever a person points: a folder of slices or DICOM files, a volume file, a folder of many scans, or a table of paths.
import { stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import type { Finding } from '../findings.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { columnsOf, headerError, readRows } from '../tables.ts';
import { compareNames, listFolder, volumeName } from './listing.ts';
import { beginsAsDicom } from './scan-folder.ts';
import { type FoundFiles, scansBelow, volumeScan } from './scan-search.ts';
import { addAll } from '../lists.ts';

/** The scans at a place. */
export interface FoundScans {
  /** Sorted by key, numbers in names counting as numbers; of a table in the order of its rows. */
  scans: ScanEntry[];
  /** What was ignored or guessed, one entry each. */
  findings: Finding[];
}

const TABLE = /\.(csv|tsv|xlsx)$/i;

/**
 * Finds the scans at a path: a folder of JPEG or PNG slices or of DICOM files, a volume file (NIfTI, MetaImage, NRRD), a DICOM
 * file, a folder of many of these, down to six levels, or a table (CSV, TSV, XLSX) with a column scan or path, whose paths are
 * relative to the table's folder. Files are listed, not decoded. The key of a scan is its path as given, '/'-separated.
 * What is no scan, such as a path that does not exist or an empty folder, is a scan with a failure.
 * @throws {UserError} if a table cannot be read.
 */
export async function findScans(path: string): Promise<FoundScans> {
  if (TABLE.test(path) && (await kindOf(path)) === 'file') return scansOfTable(path);
  return scansAt(path, keyOf(path));
}

async function scansOfTable(file: string): Promise<FoundScans> {
  const [header, ...rows] = await readRows(file);
  const column = columnsOf(header, ['scan']) ?? columnsOf(header, ['path']);
  if (column === undefined) throw headerError(file, header, 'with a column scan or path');
  const all: FoundScans = { scans: [], findings: [] };
  for (const { line, cells } of rows) {
    const cell = cells[column[0]!] ?? '';
    if (cell === '')
      throw new UserError(`line ${line}: the field ${header!.cells[column[0]!]} is empty`, {
        file,
        remedy: 'write the path of a scan',
      });
    const { scans, findings } = await scansAt(resolve(dirname(file), cell), keyOf(cell));
    addAll(all.scans, scans);
    addAll(all.findings, findings);
  }
  return all;
}

async function scansAt(path: string, key: string): Promise<FoundScans> {
  const kind = await kindOf(path);
  if (kind === 'folder') return scansInFolder(path, key);
  if (kind !== 'file') {
    const failure = kind === 'none' ? 'there is no such file or folder' : 'is neither a file nor a folder';
    return { scans: [entry(key, { path, format: 'images', slices: [], failure })], findings: [] };
  }
  if (volumeName(path) !== undefined)
    return { scans: [entry(key, await volumeScan(resolve(path)))], findings: [] };
  const isDicom = await beginsAsDicom(path);
  const failure = isDicom ? null : 'is neither a folder nor a volume (NIfTI, MetaImage, NRRD) or DICOM file';
  const format = isDicom ? ('dicom' as const) : ('images' as const);
  return { scans: [entry(key, { path, format, slices: [resolve(path)], failure })], findings: [] };
}

async function scansInFolder(path: string, key: string): Promise<FoundScans> {
  const findings: Finding[] = [];
  const root = resolve(path);
  const found = await scansBelow({ path: root, listing: await listFolder(root) }, findings, {
    emptyIsScan: true,
  });
  if (found.length === 0) {
    const failure = 'holds no scan: no slices, DICOM files or volume files';
    return { scans: [entry(key, { path, format: 'images', slices: [], failure })], findings };
  }
  const scans = found.map((scan) => {
    const below = relative(root, scan.path).split(sep).join('/');
    return entry(below === '' ? key : join(key, below).split(sep).join('/'), scan);
  });
  return { scans: scans.sort((a, b) => compareNames(a.key, b.key)), findings };
}

const keyOf = (path: string) => path.split(sep).join('/').replace(/\/+$/, '') || path;

function entry(key: string, { format, slices, failure }: FoundFiles): ScanEntry {
  const name = basename(key);
  return { key, split: 'test', name, label: null, format, slices, patient: null, group: null, failure };
}

async function kindOf(path: string): Promise<'file' | 'folder' | 'other' | 'none'> {
  const stats = await stat(path).catch(() => undefined);
  if (stats === undefined) return 'none';
  return stats.isDirectory() ? 'folder' : stats.isFile() ? 'file' : 'other';
}
