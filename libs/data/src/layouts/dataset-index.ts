// The index of a dataset laid out as COV19-CT-DB, or of any folder of scans: which scans there are, of which class and
// split, and everything odd about them. Only lists folders and reads the small tables; slices are decoded at preparation.
import type { ScanEntry } from '../scan-entry.ts';
import { basename, dirname, join } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import { findAnyScans } from './any-folder.ts';
import { mapConcurrent } from '../concurrent.ts';
import { counted, listed, type Finding } from '../findings.ts';
import {
  classOf,
  compareNames,
  LAYOUT,
  listFolder,
  niftiName,
  scanName,
  SPLITS,
  splitOf,
  type FolderListing,
  type Split,
} from './layout.ts';
import { readPatients } from './patients.ts';
import { scansOfSameBytes } from '../splits/same-bytes.ts';
import { readScanFolder, reportStrays } from './scan-folder.ts';
import { readSeverityLists } from './severity-lists.ts';
import { tellLeaks } from '../splits/split-guard.ts';

export type { Split } from './layout.ts';
export type Task = 'detection' | 'severity';

/** Class names in label order: label i is classes[i]. */
export const CLASSES = {
  detection: ['non-covid', 'covid'],
  severity: ['mild', 'moderate', 'severe', 'critical'],
} as const satisfies Record<Task, readonly string[]>;

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

/** A scan's folder, or its one file, before it is opened. */
interface ScanFolder {
  key: string;
  split: Split;
  className: 'covid' | 'non-covid' | null;
  name: string;
  folder: string;
  isFile: boolean;
}

export interface DatasetOptions {
  /** Default: `detection`. */
  task?: Task;
  /** Also takes a root without train and val: all scans below it, as test scans without a label. Default: false. */
  anyFolder?: boolean;
  /** A patient, or the same slice bytes, in two splits is a finding and no error. Default: false. */
  allowLeaks?: boolean;
}

/**
 * Reads the index of a dataset. For `severity`, it holds the scans of the covid folders that the category lists name,
 * and the test scans.
 *
 * Throws a UserError for a root without train and val (with `anyFolder`: without any scan), two folders with the same
 * key, a patient or the same slice bytes in two splits, a class without a usable scan in train or val, and a list that
 * cannot be understood.
 */
export async function readDatasetIndex(root: string, options: DatasetOptions = {}): Promise<DatasetIndex> {
  const { task = 'detection', anyFolder = false, allowLeaks = false } = options;
  const findings: Finding[] = [];
  const listing = await listFolder(root);
  const forTraining = listing.folders.some((folder) => ['train', 'val'].includes(splitOf(folder) ?? ''));
  const scans =
    anyFolder && !forTraining
      ? await findAnyScans(root, listing, findings)
      : await readSplits({ root, listing, task, allowLeaks, findings });
  await checkSameBytes(scans, { allowLeaks, findings });
  const counts = countScans(scans, CLASSES[task].length);
  return { root, task, classes: CLASSES[task], scans, report: { counts, findings } };
}

/** The scans of a root laid out as COV19-CT-DB. */
async function readSplits(options: {
  root: string;
  listing: FolderListing;
  task: Task;
  allowLeaks: boolean;
  findings: Finding[];
}): Promise<ScanEntry[]> {
  const { root, listing, task, allowLeaks, findings } = options;
  const folders = await findScanFolders(root, listing, findings);
  refuseSameKey(folders);
  const wanted = task === 'severity' ? folders.filter(({ className }) => className !== 'non-covid') : folders;
  const labels = await labelsOf({ root, task, folders: wanted, files: listing.files, findings });
  const patients = await readPatients(root, listing.files, findings);
  const labelled = wanted.filter(({ key }) => labels.has(key));
  const scans = await mapConcurrent(labelled, 16, async (scan): Promise<ScanEntry & { odd: Finding[] }> => {
    const { key, split, folder } = scan;
    const files = scan.isFile
      ? { format: 'nifti' as const, slices: [folder], failure: null, odd: [] }
      : await readScanFolder(folder, await listFolder(folder));
    const name = scan.isFile ? niftiName(basename(folder))! : basename(folder);
    const patient = patients?.byScan.get(key) ?? null;
    return { key, split, name, label: labels.get(key) ?? null, patient, ...files };
  });
  findings.push(...scans.flatMap(({ odd }) => odd));
  const entries = scans.map(({ odd: _, ...entry }): ScanEntry => entry);
  if (patients !== null) checkPatients({ ...patients, folders, entries, allowLeaks, findings });
  const counts = countScans(entries, CLASSES[task].length);
  refuseEmptyClass({ root, task, counts, splits: new Set(folders.map(({ split }) => split)) });
  return entries;
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

function checkPatients(options: {
  file: string;
  byScan: ReadonlyMap<string, string>;
  folders: readonly ScanFolder[];
  entries: readonly ScanEntry[];
  allowLeaks: boolean;
  findings: Finding[];
}) {
  const { file, byScan, folders, entries, allowLeaks, findings } = options;
  const ofPatient = new Map<string, ScanEntry[]>();
  for (const scan of entries)
    if (scan.patient !== null) ofPatient.set(scan.patient, [...(ofPatient.get(scan.patient) ?? []), scan]);
  const shared = [...ofPatient].flatMap(([patient, scans]) => {
    const [first, ...others] = SPLITS.flatMap((split) => scans.find((scan) => scan.split === split) ?? []);
    return others.map(({ key }) => `${patient} (${first!.key} and ${key})`);
  });
  findings.push(
    ...tellLeaks(shared, {
      kind: 'patient-in-two-splits',
      problem: 'a patient is in two splits',
      file,
      remedy: 'move all scans of a patient into one split, or correct the table',
      allow: allowLeaks,
    }),
  );
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

async function checkSameBytes(
  entries: readonly ScanEntry[],
  { allowLeaks, findings }: { allowLeaks: boolean; findings: Finding[] },
) {
  const groups = await scansOfSameBytes(entries);
  const leaks = groups.flatMap((group) =>
    group.flatMap((scan, i) =>
      group
        .slice(i + 1)
        .filter(({ split }) => split !== scan.split)
        .map((other) => ({ names: `${scan.key} and ${other.key}`, folder: dirname(other.slices[0]!) })),
    ),
  );
  findings.push(
    ...tellLeaks(
      leaks.map(({ names }) => names),
      {
        kind: 'same-scan',
        problem: 'the very same slices are in two splits',
        file: leaks[0]?.folder ?? '',
        remedy: 'remove the scan from one of the splits',
        allow: allowLeaks,
      },
    ),
  );
  for (const group of groups)
    if (group.every(({ split }) => split === group[0]!.split))
      findings.push({
        kind: 'same-scan',
        path: dirname(group[0]!.slices[0]!),
        message: `the very same slices are ${group.map(({ key }) => key).join(', ')}`,
      });
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
