// The JSON files of the store: the record beside each volume, and the memory of each scan's files.
import type { SliceFinding } from '../readers/slice-source.ts';
import type { PreparationSettings } from '../volumes/content-key.ts';
import type { FileState } from '../volumes/opened-scan.ts';

/** Content of `<content key>.json`. Slices are named by their position in the scan; the first is 0. */
export interface StoreRecord {
  preparation: PreparationSettings;
  /** SHA-256 of `<content key>.npy`, hexadecimal; null if there is no volume. */
  sha256: string | null;
  /** Why there is no volume; null if there is one. */
  failure: string | null;
  /** Number of slices that could be decoded. */
  slices: number;
  /** Slices that could be decoded and are not used because they show no lung. */
  dropped: number[];
  /** [depth], for each slice of the volume the slice that it was made of. */
  sources: number[];
  /** `fingerprintOf` the volume without mask and equalisation; null if there is no volume. */
  fingerprint: string | null;
  findings: SliceFinding[];
}

/** Content of `seen/<hash of the settings and the files' names>.json`. */
export interface SeenScan {
  /** The state of each of the scan's files when it was prepared. */
  files: FileState[];
  /** Content key of the volume. */
  volume: string;
  /** The state of `<content key>.npy`; null if there is no volume. */
  stored: FileState;
}

/** Whether a parsed JSON file is a complete record. */
export function isStoreRecord(value: unknown): value is StoreRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { sha256, failure, fingerprint, slices, ...lists } = value as Partial<
    Record<keyof StoreRecord, unknown>
  >;
  const texts = [sha256, failure, fingerprint].every((text) => text === null || typeof text === 'string');
  const hasLists = [lists.dropped, lists.sources, lists.findings].every(Array.isArray);
  return texts && typeof slices === 'number' && hasLists && (sha256 === null) !== (failure === null);
}

export function isSeenScan(value: unknown): value is SeenScan {
  const { files, volume } = (value ?? {}) as Partial<Record<keyof SeenScan, unknown>>;
  return Array.isArray(files) && typeof volume === 'string';
}
