// Prepared volumes on disk, each under the hash of what it was made from. Per volume two files: `<key>.npy`, which
// `numpy.load` reads, and `<key>.json` with what was found on the way. The second is written last and vouches for
// the first. Processes may share a folder: they write the same bytes under the same names.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { codeOf, readJson, UserError, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import { mapConcurrent } from './concurrent.ts';
import type { DatasetIndex, ScanEntry, Split } from './dataset-index.ts';
import type { Finding } from './findings.ts';
import { decodeNpy, encodeNpy } from './npy.ts';
import {
  contentKey,
  locate,
  prepareFiles,
  readSliceFiles,
  type Preparation,
  type SliceFinding,
} from './preparation.ts';
import type { Volume } from './volume.ts';

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
}

export interface VolumeStore {
  readonly folder: string;
  /** Prepares the scan unless it is already in the store. Never throws for bad slices: failure is in the result. */
  prepare(
    scan: ScanEntry,
    preparation: Preparation,
  ): Promise<{ stored: StoredScan; findings: Finding[]; fresh: boolean }>;
  /** Reads a volume by its content key. Throws a UserError if it is not there or damaged. */
  read(volumeKey: string): Promise<Volume>;
}

/** What `<key>.json` holds. */
interface StoreRecord {
  preparation: Preparation;
  /** SHA-256 of `<key>.npy`, null if there is no volume. */
  sha256: string | null;
  failure: string | null;
  slices: number;
  findings: SliceFinding[];
}

/** The store in this folder, which is made when the first volume is written. */
export function openVolumeStore(folder: string): VolumeStore {
  const volumeFile = (key: string) => join(folder, `${key}.npy`);
  const recordFile = (key: string) => join(folder, `${key}.json`);

  /** The record, if it and its volume are whole; `damaged` if something is there and it is not. */
  async function lookUp(key: string): Promise<StoreRecord | 'damaged' | null> {
    const record = await readJson(recordFile(key)).catch(() => 'damaged');
    if (record === undefined) return null;
    if (!isRecord(record)) return 'damaged';
    if (record.sha256 === null) return record;
    const bytes = await readIfThere(volumeFile(key));
    return bytes !== null && sha256([bytes]) === record.sha256 ? record : 'damaged';
  }

  return {
    folder,
    async prepare(scan, preparation) {
      const { key, label, split, name } = scan;
      if (scan.failure !== null) {
        const stored = { key, label, split, name, volume: null, failure: scan.failure, slices: 0 };
        return { stored, findings: [], fresh: false };
      }
      const files = await readSliceFiles(scan.slices);
      const content = contentKey(files, preparation);
      const known = await lookUp(content);
      const fresh = known === null || known === 'damaged';
      let record: StoreRecord;
      if (fresh) {
        const { volume, failure, decodable, findings } = await prepareFiles(scan, files, preparation);
        const parts = volume === null ? null : encodeNpy(volume);
        if (parts !== null) await writeFileAtomic(volumeFile(content), parts);
        record = {
          preparation,
          sha256: parts === null ? null : sha256(parts),
          failure,
          slices: decodable,
          findings,
        };
        await writeJson(recordFile(content), record);
      } else record = known;
      const findings = locate(record.findings, scan);
      if (known === 'damaged')
        findings.push({
          kind: 'damaged-store-file',
          path: volumeFile(content),
          message: `was damaged and has been made anew, for ${key}`,
        });
      const volume = record.sha256 === null ? null : content;
      const stored = { key, label, split, name, volume, failure: record.failure, slices: record.slices };
      return { stored, findings, fresh };
    },
    async read(volumeKey) {
      const file = volumeFile(volumeKey);
      const bytes = await readIfThere(file);
      if (bytes === null)
        throw new UserError('is not in the store', { file, remedy: 'prepare the dataset again' });
      return decodeNpy(bytes, file);
    },
  };
}

export interface PreparationProgress {
  done: number;
  total: number;
  /** Scans decoded in this run, the others were in the store. */
  fresh: number;
  /** Key of the scan just done. */
  scan: string;
}

/**
 * Prepares all scans, `concurrency` (default: the processors, at most 4) at a time, and returns them in index order.
 * Memory: the compressed slices and the volume of that many scans. Aborting throws the signal's reason after the
 * scans under way; what is in the store stays.
 */
export async function prepareDataset(options: {
  index: DatasetIndex;
  preparation: Preparation;
  store: VolumeStore;
  concurrency?: number;
  onProgress?: (progress: PreparationProgress) => void;
  signal?: AbortSignal;
}): Promise<{ scans: StoredScan[]; findings: Finding[] }> {
  const { index, preparation, store, onProgress, signal } = options;
  const concurrency = options.concurrency ?? Math.min(4, availableParallelism());
  const total = index.scans.length;
  let done = 0;
  let freshScans = 0;
  const results = await mapConcurrent(index.scans, concurrency, async (scan) => {
    signal?.throwIfAborted();
    const { stored, findings, fresh } = await store.prepare(scan, preparation);
    if (fresh) freshScans++;
    onProgress?.({ done: ++done, total, fresh: freshScans, scan: scan.key });
    return { stored, findings };
  });
  return {
    scans: results.map(({ stored }) => stored),
    findings: results.flatMap(({ findings }) => findings),
  };
}

function sha256(parts: readonly Uint8Array[]) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

async function readIfThere(file: string) {
  try {
    return await readFile(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

function isRecord(value: unknown): value is StoreRecord {
  if (typeof value !== 'object' || value === null) return false;
  const { sha256, failure, slices, findings } = value as Partial<Record<keyof StoreRecord, unknown>>;
  const texts = [sha256, failure].every((text) => text === null || typeof text === 'string');
  return (
    texts && typeof slices === 'number' && Array.isArray(findings) && (sha256 === null) !== (failure === null)
  );
}
