// The index of a data set: which scans there are, of which class and split, and all findings. Only lists folders and reads
// small tables; slices are decoded at preparation.
import { UserError } from '@ct-ensemble/core';
import { counted, listed, type Finding } from '../findings.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { checkPatients, checkSameBytes } from '../splits/leaks.ts';
import { makeSplits, type SplitShares } from '../splits/make-splits.ts';
import { NoScanError, type FoundScan, type Layout, type LayoutScans, type ScanTable } from './layout.ts';
import { hasSplitFolders, SPLITS, type Split } from '../splits/split.ts';
import { compareNames, listFolder } from './listing.ts';
import { layoutOf } from './registry.ts';
import { sharedSeries } from './shared-series.ts';
import { addAll } from '../lists.ts';

export type { Split } from '../splits/split.ts';

export interface DatasetIndex {
  root: string;
  /** Name of the layout. */
  layout: string;
  /** Class names in label order: label i is classes[i]. */
  classes: readonly string[];
  /** Where the splits are from: the data set, or made here with the recipe's shares. */
  splits: 'data' | 'recipe';
  /** By split (train, val, test), then key, numbers in names counting as numbers. */
  scans: readonly ScanEntry[];
  report: DatasetReport;
}

export interface DatasetReport {
  counts: Readonly<Record<Split, SplitCounts>>;
  /** One line for each thing that is reported and did not stop the reading. */
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

export interface DatasetOptions {
  /** Name of the layout. Default: `cov19-ct-db`. */
  layout?: string;
  /** Classes in label order. Default: those of the layout, or of the data in the order of `compareNames`. */
  classes?: readonly string[] | null;
  /** The table of scans, for the layout `table`. */
  table?: ScanTable;
  /** How scans are split if the data set does not say. */
  split?: SplitShares;
  /**
   * Scans need neither split nor class, as for a preparation without training: in a layout of folders, a root without any
   * class folder is read as `unlabelled`. Default: false.
   */
  anyFolder?: boolean;
  /** A patient, or the same slice bytes, in two splits is a finding and no error. Default: false. */
  allowLeaks?: boolean;
}

/**
 * Reads the index of a data set.
 *
 * @throws UserError for a root that does not have the layout, two scans with the same key, a patient or the same slice bytes
 * in two splits, fewer than two classes, a class without a usable scan in train or val, scans without splits and no shares to
 * make them with, and a table that cannot be understood.
 */
export async function readDatasetIndex(root: string, options: DatasetOptions = {}): Promise<DatasetIndex> {
  const { anyFolder = false, allowLeaks = false } = options;
  const findings: Finding[] = [];
  const { layout, found } = await readLayout(root, options, findings);
  refuseSameKey(found.scans);
  const classes = found.classes ?? classesIn(found.scans);
  const isLenient = anyFolder || layout.isUnlabelled === true;
  if (!isLenient) refuseFewClasses(root, layout, classes);
  const { splits, scans } = splitScans({ root, found, classes, options, isLenient, findings });
  const entries = scans.map(entryOf(classes)).sort(inOrder);
  const isPatientKnown = found.patientFile !== null || splits === 'recipe';
  if (isPatientKnown)
    checkPatients({ file: found.patientFile ?? root, entries, splits, allowLeaks, findings });
  const counts = countScans(entries, classes.length);
  refuseEmptyClass({ root, layout, classes, counts, splits });
  await checkSameBytes(entries, { allowLeaks, findings });
  addAll(findings, await sharedSeries(entries));
  return { root, layout: layout.name, classes, splits, scans: entries, report: { counts, findings } };
}

async function readLayout(
  root: string,
  options: DatasetOptions,
  findings: Finding[],
): Promise<{ layout: Layout; found: LayoutScans }> {
  const { table = null, anyFolder = false } = options;
  const classes = options.classes?.map((name) => name.normalize('NFC')) ?? null;
  const listing = await listFolder(root);
  const named = layoutOf(options.layout ?? 'cov19-ct-db');
  const read = async (layout: Layout) => ({
    layout,
    found: await layout.read({ root, listing, classes, table, findings }),
  });
  const mayBeUnlabelled = anyFolder && table === null && !hasSplitFolders(listing.folders);
  if (mayBeUnlabelled && named.name === 'cov19-ct-db') return read(layoutOf('unlabelled'));
  const before = findings.length;
  try {
    return await read(named);
  } catch (error) {
    if (!mayBeUnlabelled || !(error instanceof NoScanError)) throw error;
    findings.length = before;
    return read(layoutOf('unlabelled'));
  }
}

/** Names of the classes that the scans have, in the order of `compareNames`. */
function classesIn(scans: readonly FoundScan[]): string[] {
  const names = new Set(scans.flatMap(({ className }) => className ?? []));
  return [...names].sort(compareNames);
}

function entryOf(classes: readonly string[]) {
  const labels = new Map(classes.map((name, label) => [name, label]));
  return (scan: FoundScan & { split: Split }): ScanEntry => {
    const { key, split, name, className, format, slices, patient, group, groups, failure } = scan;
    const label = className === null ? null : labels.get(className)!;
    return { key, split, name, label, format, slices, patient, group, ...(groups && { groups }), failure };
  };
}

function inOrder(a: ScanEntry, b: ScanEntry) {
  return SPLITS.indexOf(a.split) - SPLITS.indexOf(b.split) || compareNames(a.key, b.key);
}

/** Every scan with its split: the data set's, or one made here. */
function splitScans(options: {
  root: string;
  found: LayoutScans;
  classes: readonly string[];
  options: DatasetOptions;
  isLenient: boolean;
  findings: Finding[];
}): { splits: DatasetIndex['splits']; scans: (FoundScan & { split: Split })[] } {
  const { root, found, classes, isLenient, findings } = options;
  const { split: shares } = options.options;
  const given = found.scans.flatMap((scan) => (scan.split === null ? [] : [{ ...scan, split: scan.split }]));
  if (given.length === found.scans.length) {
    if (shares !== undefined)
      findings.push({
        kind: 'split-not-used',
        path: root,
        message: "the recipe's split is not used: the data set gives the split of every scan",
      });
    return { splits: 'data', scans: given };
  }
  if (shares === undefined) {
    if (isLenient) return { splits: 'data', scans: found.scans.map((scan) => ({ ...scan, split: 'test' })) };
    throw new UserError('the data set does not say which scans are for training, validation and test', {
      file: root,
      remedy:
        'write the line "split: { val: 0.2, test: 0.2, seed: 1 }" into the recipe, give the table a column split, or ' +
        'lay the scans out in folders train, val and test',
    });
  }
  const labels = new Map(classes.map((name, label) => [name, label]));
  const made = makeSplits(
    found.scans.map(({ key, patient, className }) => ({
      key,
      patient,
      label: className === null ? null : labels.get(className)!,
    })),
    shares,
  );
  const unlabelled = found.scans.filter(({ className }) => className === null).map(({ key }) => key);
  if (unlabelled.length > 0)
    findings.push({
      kind: 'unlabelled-scan',
      path: found.patientFile ?? root,
      message: `${counted(unlabelled.length, 'scan')} without a label, put into test with all scans of the patient: ${listed(unlabelled)}`,
    });
  return { splits: 'recipe', scans: found.scans.map((scan) => ({ ...scan, split: made.get(scan.key)! })) };
}

function refuseSameKey(scans: readonly FoundScan[]) {
  const byKey = new Map<string, string>();
  for (const { key, path } of scans) {
    const earlier = byKey.get(key);
    if (earlier !== undefined)
      throw new UserError(`is the scan ${key}, and so is ${earlier}`, {
        file: path,
        remedy: 'rename one of them, or remove it if they are the same scan',
      });
    byKey.set(key, path);
  }
}

function refuseFewClasses(root: string, layout: Layout, classes: readonly string[]) {
  if (classes.length >= 2) return;
  const has = classes.length === 0 ? 'no scan has a class' : `all scans have the class ${classes[0]}`;
  throw new UserError(`${has}: training needs two classes or more`, {
    file: root,
    remedy: `lay it out as ${layout.description}`,
  });
}

function countScans(entries: readonly ScanEntry[], classes: number): Record<Split, SplitCounts> {
  const of = (split: Split): SplitCounts => {
    const inSplit = entries.filter((scan) => scan.split === split);
    const usable = inSplit.filter(({ failure }) => failure === null);
    const perClass = new Array<number>(classes).fill(0);
    for (const { label } of usable) if (label !== null) perClass[label]!++;
    return {
      perClass,
      unlabelled: usable.filter(({ label }) => label === null).length,
      failed: inSplit.length - usable.length,
    };
  };
  return { train: of('train'), val: of('val'), test: of('test') };
}

function refuseEmptyClass(options: {
  root: string;
  layout: Layout;
  classes: readonly string[];
  counts: Record<Split, SplitCounts>;
  splits: DatasetIndex['splits'];
}) {
  const { root, layout, classes, counts, splits } = options;
  const remedy =
    splits === 'recipe'
      ? "add patients of this class, or change the shares or the seed of the recipe's field split"
      : `add some, laid out as ${layout.description}`;
  for (const split of ['train', 'val'] as const) {
    const { perClass, unlabelled, failed } = counts[split];
    if (perClass.every((count) => count === 0) && unlabelled + failed === 0) continue;
    const empty = perClass.indexOf(0);
    if (empty !== -1)
      throw new UserError(`${split} has no usable scan of the class ${classes[empty]}`, {
        file: root,
        remedy,
      });
  }
}
