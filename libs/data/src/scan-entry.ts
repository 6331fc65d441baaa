// A scan on disk, and the same with its volume in the store.
import type { Split } from './layouts/layout.ts';

/** `images`: a JPEG or PNG file a slice; `dicom`: one series, or several; `nifti`: one volume. */
export type ScanFormat = 'images' | 'dicom' | 'nifti';

/** One scan on disk, not yet decoded. */
export interface ScanEntry {
  /**
   * `split/class/name`, or `test/name` where the class is unknown: unique in the index, '/'-separated. The class is
   * that of the folder, `covid` or `non-covid`, in both tasks. In any folder of scans, `test/path`.
   */
  key: string;
  split: Split;
  /**
   * What a submission lists: the folder's name as it is on disk, while in keys `ct_scan183` is spelt `ct_scan_183`. In
   * any folder of scans, the path joined by `_`.
   */
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

/** A scan and its volume in the store. */
export interface StoredScan {
  key: string;
  label: number | null;
  split: Split;
  name: string;
  /** Content key in the store, null if failed. */
  volume: string | null;
  failure: string | null;
  /** Decodable slices. */
  slices: number;
  /** Those of them that the volume may be made of; the others show no lung. */
  kept: number;
}
