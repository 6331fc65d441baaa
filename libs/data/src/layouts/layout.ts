// A layout: the way a data set says which scans it has, and each scan's class, split and patient. One file a layout, and
// one line in registry.ts.
import { UserError } from '@ct-ensemble/core';
import type { Finding } from '../findings.ts';
import type { ScanFormat } from '../scan-entry.ts';
import type { FolderListing } from './listing.ts';
import type { Split } from '../splits/split.ts';

/** One way to lay out a data set. */
export interface Layout {
  /** What `--layout` and the recipe's field `layout` call it. */
  readonly name: string;
  /** How the files must lie, in words, for errors: `lay it out as …`. */
  readonly description: string;
  /** The layout finds scans without a class or split on purpose: nothing is required of classes and splits. */
  readonly isUnlabelled?: boolean;
  /**
   * Finds the scans. Lists folders and reads tables, decodes nothing.
   * @throws UserError if the data set contradicts itself or does not have this layout.
   */
  read(request: LayoutRequest): Promise<LayoutScans>;
}

/** The data set holds no scan as the layout wants it. */
export class NoScanError extends UserError {}

/** What a layout is given. */
export interface LayoutRequest {
  /** Folder of the data set. */
  root: string;
  /** What the root holds. */
  listing: FolderListing;
  /** Classes that the recipe wants, in label order; null: those of the data. */
  classes: readonly string[] | null;
  /** The table of scans given with `--labels`, or null. */
  table: ScanTable | null;
  /** The layout appends what it has to report and what did not stop the reading. */
  findings: Finding[];
}

/** What a layout gives back. */
export interface LayoutScans {
  /** In any order; `readDatasetIndex` sorts them. */
  scans: FoundScan[];
  /** Classes in label order; null: the class names of the scans in the order of `compareNames`. */
  classes: readonly string[] | null;
  /** File that says which patient a scan is of, for messages; null if there is none. */
  patientFile: string | null;
}

/** One scan that a layout found. */
export interface FoundScan {
  /** Unique in the data set, '/'-separated, the same wherever the data set lies. */
  key: string;
  /** What a submission lists. */
  name: string;
  /** Its folder or file, absolute, for messages. */
  path: string;
  /** Null: the class is not known. */
  className: string | null;
  /** Null: the data set does not say; all scans then have null. */
  split: Split | null;
  patient: string | null;
  /** Site, scanner or another group for scores of its own. */
  group: string | null;
  /** Values of further columns that divide the scans into few groups, by the names of the columns. */
  groups?: Readonly<Record<string, string>>;
  format: ScanFormat;
  /** Its files, absolute. */
  slices: readonly string[];
  /** Why the scan cannot be used, or null. */
  failure: string | null;
}

/** What a column holds. */
export type TableField = 'scan' | 'label' | 'patient' | 'split' | 'group';

/** A table of scans: CSV, TSV or XLSX. */
export interface ScanTable {
  file: string;
  /** Names of columns; those left out have one of the usual names. */
  columns?: Partial<Readonly<Record<TableField, string>>>;
}
