// The index of a dataset laid out as COV19-CT-DB: which scans there are, of which class and split, and everything
// odd about them. Only lists folders and reads the small tables; slices are decoded at preparation.
import { open } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import { mapConcurrent } from './concurrent.ts';
import { counted, listed, type Finding } from './findings.ts';
import {
  classOf,
  compareNames,
  LAYOUT,
  listFolder,
  niftiName,
  scanName,
  sliceNumber,
  SPLITS,
  splitOf,
  type FolderListing,
  type Split,
} from './layout.ts';
import { readPatients } from './patients.ts';
import { scansOfSameBytes } from './same-bytes.ts';
import { isDicom } from './readers/dicom-bytes.ts';
import { readSeverityLists } from './severity-lists.ts';

export type { Split } from './layout.ts';
export type Task = 'detection' | 'severity';

/** Class names in label order: label i is classes[i]. */
export const CLASSES = {
  detection: ['non-covid', 'covid'],
  severity: ['mild', 'moderate', 'severe', 'critical'],
} as const satisfies Record<Task, readonly string[]>;

/** `images`: a JPEG or PNG file a slice; `dicom`: one series, or several; `nifti`: one volume. */
export type ScanFormat = 'images' | 'dicom' | 'nifti';

/** One scan on disk, not yet decoded. */
export interface ScanEntry {
  /**
   * `split/class/name`, or `test/name` where the class is unknown: unique in the index, '/'-separated. The class is
   * that of the folder, `covid` or `non-covid`, in both tasks.
   */
  key: string;
  split: Split;
  /** The folder's name as it is on disk, which a submission lists; in keys `ct_scan183` is spelt `ct_scan_183`. */
  name: string;
  /** Label as an index into the index's classes, or null where unknown (test scans). */
  label: number | null;
  /** What its files are. */
  format: ScanFormat;
  /** Its files, absolute: slices in numeric order, DICOM files by name, one NIfTI file. */
  slices: readonly string[];
  /** Patient, where the dataset names one. */
  patient: string | null;
  /** Why the scan cannot be used, or null. A failed scan stays in the index. */
  failure: string | null;
}

export interface DatasetIndex {
  root: string;
  task: Task;
  /** `CLASSES[task]`. */
  classes: readonly string[];
  /** By split (train, val, test), then key, numbers in names counting as numbers. */
  scans: readonly ScanEntry[];
  report: DatasetReport;
}

export interface DatasetReport {
  counts: Readonly<Record<Split, SplitCounts>>;
  /** One line for everything odd. */
  findings: readonly Finding[];
}

export interface SplitCounts {
  /** Usable scans of each class, in label order. */
  perClass: readonly number[];
  /** Usable scans without a label. */
  unlabelled: number;
  /** Scans that cannot be used. */
  failed: number;
}

/** A scan with fewer slices than this is reported. */
const FEW_SLICES = 5;

/** A scan's folder, or its one file, before it is opened. */
interface ScanFolder {
  key: string;
  split: Split;
  className: 'covid' | 'non-covid' | null;
  name: string;
  folder: string;
  isFile: boolean;
}

/**
 * Reads the index of a dataset. For `severity`, it holds the scans of the covid folders that the category lists name,
 * and the test scans.
 *
 * Throws a UserError for a root without train and val, two folders with the same key, a patient or the same slice
 * bytes in two splits, a class without a usable scan in train or val, and a list that cannot be understood.
 */
export async function readDatasetIndex(root: string, options: { task?: Task } = {}): Promise<DatasetIndex> {
  const task = options.task ?? 'detection';
  const findings: Finding[] = [];
  const rootListing = await listFolder(root);
  const folders = await findScanFolders(root, rootListing, findings);
  refuseSameKey(folders);
  const wanted = task === 'severity' ? folders.filter(({ className }) => className !== 'non-covid') : folders;
  const labels = await labelsOf({ root, task, folders: wanted, files: rootListing.files, findings });
  const patients = await readPatients(root, rootListing.files, findings);
  const labelled = wanted.filter(({ key }) => labels.has(key));
  const scans = await mapConcurrent(labelled, 16, async (scan): Promise<ScanEntry & { odd: Finding[] }> => {
    const { format, slices, failure, odd } = scan.isFile
      ? { format: 'nifti' as const, slices: [scan.folder], failure: null, odd: [] }
      : await readScanFolder(scan.folder);
    const { key, split } = scan;
    const patient = patients?.byScan.get(key) ?? null;
    return {
      key,
      split,
      name: scan.isFile ? niftiName(basename(scan.folder))! : basename(scan.folder),
      label: labels.get(key) ?? null,
      format,
      slices,
      patient,
      failure,
      odd,
    };
  });
  findings.push(...scans.flatMap(({ odd }) => odd));
  const entries = scans.map(({ odd: _, ...entry }): ScanEntry => entry);
  if (patients !== null) checkPatients({ ...patients, folders, entries, findings });
  await checkSameBytes(entries, findings);
  const counts = countScans(entries, CLASSES[task].length);
  refuseEmptyClass({ root, task, counts, splits: new Set(folders.map(({ split }) => split)) });
  return { root, task, classes: CLASSES[task], scans: entries, report: { counts, findings } };
}

/** All scan folders below the root, in the order of the index. */
async function findScanFolders(root: string, rootListing: FolderListing, findings: Finding[]) {
  const scans: ScanFolder[] = [];
  const addAll = (parent: string, names: string[], of: Pick<ScanFolder, 'split' | 'className'>) => {
    for (const folder of names) {
      const name = scanName(folder);
      scans.push({ ...of, key: keyOf(of, name), name, folder: join(parent, folder), isFile: false });
    }
    const respelt = names.filter((folder) => scanName(folder) !== folder);
    if (respelt.length > 0)
      findings.push({
        kind: 'spelling',
        path: parent,
        message: `${counted(respelt.length, 'scan folder')} read under the usual spelling, such as ${respelt[0]} as ${scanName(respelt[0]!)}`,
      });
  };
  const addFiles = (parent: string, files: string[], of: Pick<ScanFolder, 'split' | 'className'>) => {
    for (const file of files) {
      const volume = niftiName(file);
      if (volume === undefined) continue;
      const name = scanName(volume);
      scans.push({ ...of, key: keyOf(of, name), name, folder: join(parent, file), isFile: true });
    }
  };
  for (const splitFolder of rootListing.folders) {
    const split = splitOf(splitFolder);
    const splitPath = join(root, splitFolder);
    if (split === undefined) {
      findings.push({ kind: 'ignored-folder', path: splitPath, message: 'is no split (train, val, test)' });
      continue;
    }
    const inSplit = await listFolder(splitPath);
    reportStrays(splitPath, inSplit, findings);
    const others = inSplit.folders.filter((folder) => classOf(folder) === undefined);
    if (split === 'test') {
      addAll(splitPath, others, { split, className: null });
      addFiles(splitPath, inSplit.files, { split, className: null });
    } else
      for (const folder of others)
        findings.push({
          kind: 'ignored-folder',
          path: join(splitPath, folder),
          message: 'is no class (covid, non-covid)',
        });
    for (const classFolder of inSplit.folders) {
      const className = classOf(classFolder);
      if (className === undefined) continue;
      const classPath = join(splitPath, classFolder);
      const inClass = await listFolder(classPath);
      reportStrays(classPath, inClass, findings);
      addAll(classPath, inClass.folders, { split, className });
      addFiles(classPath, inClass.files, { split, className });
    }
  }
  const splits = new Set(scans.map(({ split }) => split));
  if (!splits.has('train') && !splits.has('val'))
    throw new UserError('holds no scan for training or validation', {
      file: root,
      remedy: `lay it out as ${LAYOUT}`,
    });
  for (const split of ['train', 'val'] as const)
    if (!splits.has(split))
      findings.push({ kind: 'missing-split', path: root, message: `holds no scan of ${split}` });
  const rank = ({ split }: ScanFolder) => SPLITS.indexOf(split);
  return scans.sort((a, b) => rank(a) - rank(b) || compareNames(a.key, b.key));
}

const keyOf = ({ split, className }: Pick<ScanFolder, 'split' | 'className'>, name: string) =>
  [split, className, name].filter((part) => part !== null).join('/');

function refuseSameKey(folders: readonly ScanFolder[]) {
  const byKey = new Map<string, string>();
  for (const { key, folder } of folders) {
    const earlier = byKey.get(key);
    if (earlier !== undefined)
      throw new UserError(`is the scan ${key}, and so is ${earlier}`, {
        file: folder,
        remedy: 'rename one of them, or remove it if they are the same scan',
      });
    byKey.set(key, folder);
  }
}

/** Label of each scan that belongs to the task, by key; null where it is not known. */
async function labelsOf(options: {
  root: string;
  task: Task;
  folders: readonly ScanFolder[];
  files: readonly string[];
  findings: Finding[];
}): Promise<Map<string, number | null>> {
  const { root, task, folders, files, findings } = options;
  const labels = new Map<string, number | null>();
  if (task === 'detection') {
    for (const { key, className } of folders)
      labels.set(key, className === null ? null : CLASSES.detection.indexOf(className));
    return labels;
  }
  const lists = await readSeverityLists(root, files, findings);
  for (const split of SPLITS) {
    const inSplit = folders.filter((scan) => scan.split === split);
    const list = lists.get(split);
    if (list === undefined && split !== 'test' && inSplit.length > 0)
      throw new UserError(`there is no list of the severity categories of ${split}`, {
        file: root,
        remedy: `add ${split}_partition_covid_categories.csv (header Name;Category) or the same as .xlsx`,
      });
    for (const { key, name } of inSplit) {
      const entry = list?.entries.get(name);
      if (entry !== undefined || split === 'test') labels.set(key, entry?.label ?? null);
    }
    if (list === undefined) continue;
    const unlisted = inSplit.filter(({ name }) => !list.entries.has(name)).map(({ name }) => name);
    if (unlisted.length > 0)
      findings.push({
        kind: 'unlisted-scan',
        path: list.file,
        message:
          `${counted(unlisted.length, 'covid scan')} of ${split} not in the list, ` +
          `${split === 'test' ? 'kept without a label' : 'left out'}: ${listed(unlisted)}`,
      });
    const present = new Set(inSplit.map(({ name }) => name));
    for (const [name, { line }] of list.entries)
      if (!present.has(name))
        findings.push({
          kind: 'missing-scan',
          path: list.file,
          message: `line ${line}: ${name} has no folder among the covid scans of ${split}`,
        });
  }
  return labels;
}

/** What a scan's folder holds: images, if there is one; else a NIfTI file; else DICOM files. */
async function readScanFolder(folder: string) {
  const listing = await listFolder(folder);
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

/** The files that are DICOM by their first bytes, whatever they are called. */
async function dicomFilesOf(folder: string, files: readonly string[]): Promise<string[]> {
  const found = await mapConcurrent(files, 8, async (file) =>
    (await beginsAsDicom(join(folder, file))) ? [file] : [],
  );
  return found.flat();
}

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

function reportStrays(folder: string, { files, system }: FolderListing, findings: Finding[]) {
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

function checkPatients(options: {
  file: string;
  byScan: ReadonlyMap<string, string>;
  folders: readonly ScanFolder[];
  entries: readonly ScanEntry[];
  findings: Finding[];
}) {
  const { file, byScan, folders, entries, findings } = options;
  const first = new Map<string, ScanEntry>();
  for (const scan of entries) {
    if (scan.patient === null) continue;
    const other = first.get(scan.patient);
    if (other !== undefined && other.split !== scan.split)
      throw new UserError(`patient ${scan.patient} is in two splits: ${other.key} and ${scan.key}`, {
        file,
        remedy: 'move all scans of a patient into one split, or correct the table',
      });
    if (other === undefined) first.set(scan.patient, scan);
  }
  const present = new Set(folders.map(({ key }) => key));
  const absent = [...byScan.keys()].filter((key) => !present.has(key));
  if (absent.length > 0)
    findings.push({
      kind: 'missing-scan',
      path: file,
      message: `${counted(absent.length, 'scan')} in the table and not on disk: ${listed(absent)}`,
    });
  const without = entries.filter(({ patient }) => patient === null).map(({ key }) => key);
  if (without.length > 0)
    findings.push({
      kind: 'unknown-patient',
      path: file,
      message: `${counted(without.length, 'scan')} without a patient: ${listed(without)}`,
    });
}

async function checkSameBytes(entries: readonly ScanEntry[], findings: Finding[]) {
  for (const group of await scansOfSameBytes(entries)) {
    const [first, ...others] = group as [ScanEntry, ...ScanEntry[]];
    const other = others.find(({ split }) => split !== first.split);
    if (other !== undefined)
      throw new UserError(`the very same slices are in two splits: ${first.key} and ${other.key}`, {
        file: dirname(other.slices[0]!),
        remedy: 'remove the scan from one of the splits',
      });
    findings.push({
      kind: 'same-scan',
      path: dirname(first.slices[0]!),
      message: `the very same slices are ${group.map(({ key }) => key).join(', ')}`,
    });
  }
}

function countScans(entries: readonly ScanEntry[], classes: number): Record<Split, SplitCounts> {
  const of = (split: Split): SplitCounts => {
    const inSplit = entries.filter((scan) => scan.split === split);
    const usable = inSplit.filter(({ failure }) => failure === null);
    return {
      perClass: Array.from({ length: classes }, (_, i) => usable.filter(({ label }) => label === i).length),
      unlabelled: usable.filter(({ label }) => label === null).length,
      failed: inSplit.length - usable.length,
    };
  };
  return { train: of('train'), val: of('val'), test: of('test') };
}

function refuseEmptyClass(options: {
  root: string;
  task: Task;
  counts: Record<Split, SplitCounts>;
  splits: ReadonlySet<Split>;
}) {
  const { root, task, counts, splits } = options;
  for (const split of ['train', 'val'] as const)
    for (const [label, name] of CLASSES[task].entries())
      if (splits.has(split) && counts[split].perClass[label] === 0)
        throw new UserError(`${split} has no usable scan of the class ${name}`, {
          file: root,
          remedy: `add some, laid out as ${LAYOUT}`,
        });
}
