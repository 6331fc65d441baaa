// A scan on disk, and the same with its volume in the store.
import type { VolumeFormat } from './readers/volume-formats.ts';
import type { Split } from './splits/split.ts';

/** `images`: a JPEG or PNG file a slice; `dicom`: one series, or several; else one volume. */
export type ScanFormat = 'images' | 'dicom' | VolumeFormat;

/** One scan on disk, not yet decoded. */
export interface ScanEntry {
  /**
   * Unique in the index, '/'-separated, the same wherever the data set lies: the path of the scan below the root, in the
   * spelling of the layout, such as `train/a/scan_3`.
   */
  key: string;
  split: Split;
  /**
   * What a submission lists. In the layout `cov19-ct-db` the folder's name as it is on disk (in keys `ct_scan183` is
   * spelt `ct_scan_183`), in the others a path joined by `_`.
   */
  name: string;
  /** Label as an index into the index's classes, or null if unknown (test scans). */
  label: number | null;
  /** What its files are. */
  format: ScanFormat;
  /** Its files, absolute: slices in numeric order, DICOM files by name, one volume file, or its header and its file of voxels. */
  slices: readonly string[];
  /** Patient, if the data set names one. */
  patient: string | null;
  /** Site, scanner or another group that the table of scans names. */
  group: string | null;
  /** Values of further columns of the table that divide the scans into few groups, such as { sex: 'f' }; absent if it has none. */
  groups?: Readonly<Record<string, string>>;
  /** Why the scan cannot be used, or null. A failed scan stays in the index. */
  failure: string | null;
}

/** A scan and its volume in the store. */
export interface StoredScan {
  key: string;
  label: number | null;
  split: Split;
  name: string;
  /** Site, scanner or another group; null or absent if none is named. */
  group?: string | null;
  /** Further groups by the names of their columns; absent if there are none. */
  groups?: Readonly<Record<string, string>>;
  /** Content key in the store, null if failed. */
  volume: string | null;
  failure: string | null;
  /** Decodable slices. */
  slices: number;
  /** Those of them that the volume may be made of; the others show no lung. */
  kept: number;
}
