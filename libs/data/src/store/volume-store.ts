// Prepared volumes on disk, each under the hash of what it was made from. Per volume two files: `<key>.npy`, which
// `numpy.load` reads, and `<key>.json` with what was found on the way. The second is written last and vouches for
// the first. Processes may share a folder: they write the same bytes under the same names. `seen/` remembers the sizes
// and times of the files of each scan, so that scans that have not changed are not read again.
import type { StoredScan } from '../scan-entry.ts';
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { codeOf, messageOf, readJson, UserError, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import { Piscina } from 'piscina';
import { mapConcurrent } from '../concurrent.ts';
import type { DatasetIndex } from '../layouts/dataset-index.ts';
import type { ScanEntry } from '../scan-entry.ts';
import type { Finding } from '../findings.ts';
import { decodeNpy, encodeNpy } from './npy.ts';
import {
  contentKey,
  duplicatesIn,
  type FileState,
  locate,
  type OpenedScan,
  openScan,
  prepareOpened,
  settingsOf,
  stateOf,
  type Preparation,
  type PreparationNetworks,
  type PrepareOptions,
} from '../volumes/preparation.ts';
import type { SliceFinding } from '../readers/slice-source.ts';
import type { Volume } from '../volumes/volume.ts';

/** What became of one scan. */
export interface PrepareResult {
  stored: StoredScan;
  findings: Finding[];
  /** It was decoded now. */
  fresh: boolean;
}

export interface VolumeStore {
  readonly folder: string;
  /** What the store has of the scan, where none of its files has changed since; else null. */
  recall(scan: ScanEntry, options: PrepareOptions): Promise<PrepareResult | null>;
  /** Prepares the scan unless it is already in the store. Never throws for bad slices: failure is in the result. */
  prepare(scan: ScanEntry, options: PrepareOptions & { opened?: OpenedScan }): Promise<PrepareResult>;
  /** Reads a volume by its content key. Throws a UserError if it is not there or damaged. */
  read(volumeKey: string): Promise<Volume>;
  /** What was found when the volume was made. Throws a UserError if it is not there or damaged. */
  record(volumeKey: string): Promise<StoreRecord>;
}

/** What `<key>.json` holds. */
export interface StoreRecord {
  preparation: ReturnType<typeof settingsOf>;
  /** SHA-256 of `<key>.npy`, null if there is no volume. */
  sha256: string | null;
  failure: string | null;
  /** Decodable slices. */
  slices: number;
  /** Positions of slices left out, as they show no lung. */
  dropped: number[];
  /** For each slice of the volume the position of its source. */
  sources: number[];
  /** `fingerprintOf` the volume, null if there is none. */
  fingerprint: string | null;
  findings: SliceFinding[];
}

/** What `seen/<hash of the files' names and the settings>.json` holds. */
interface Seen {
  files: FileState[];
  /** Content key. */
  volume: string;
  /** Of `<key>.npy`; null if there is no volume. */
  stored: FileState;
}

interface MakeOptions extends PrepareOptions {
  key: string;
  settings: ReturnType<typeof settingsOf>;
  opened: OpenedScan;
}

/** The store in this folder, which is made when the first volume is written. */
export function openVolumeStore(folder: string): VolumeStore {
  const volumeFile = (key: string) => join(folder, `${key}.npy`);
  const recordFile = (key: string) => join(folder, `${key}.json`);
  const seenFile = (scan: ScanEntry, settings: unknown) =>
    join(folder, 'seen', `${sha256([Buffer.from(JSON.stringify([settings, scan.slices]))])}.json`);

  /** The record, if it and its volume are whole; `damaged` if something is there and it is not. */
  async function lookUp(key: string): Promise<StoreRecord | 'damaged' | null> {
    const record = await readJson(recordFile(key)).catch(() => 'damaged');
    if (record === undefined) return null;
    if (!isRecord(record)) return 'damaged';
    if (record.sha256 === null) return record;
    const bytes = await readIfThere(volumeFile(key));
    return bytes !== null && sha256([bytes]) === record.sha256 ? record : 'damaged';
  }

  async function make(scan: ScanEntry, options: MakeOptions) {
    const { key, settings, opened } = options;
    const { volume, decodable, ...rest } = await prepareOpened(scan, opened, options);
    const parts = volume === null ? null : encodeNpy(volume);
    if (parts !== null) await writeFileAtomic(volumeFile(key), parts);
    const record: StoreRecord = {
      preparation: settings,
      sha256: parts === null ? null : sha256(parts),
      slices: decodable,
      ...rest,
      findings: [...duplicatesIn(opened.files), ...rest.findings],
    };
    await writeJson(recordFile(key), record);
    return record;
  }

  return {
    folder,
    async recall(scan, { preparation, networks }) {
      if (scan.failure !== null) return failedScan(scan, scan.failure);
      const seen = await readJson(seenFile(scan, settingsOf(preparation, networks))).catch(() => undefined);
      if (!isSeen(seen)) return null;
      const states = await mapConcurrent([...scan.slices, volumeFile(seen.volume)], 16, stateOf);
      if (JSON.stringify(states) !== JSON.stringify([...seen.files, seen.stored])) return null;
      const record = await readJson(recordFile(seen.volume)).catch(() => undefined);
      return isRecord(record) ? resultOf(scan, { key: seen.volume, record, fresh: false }) : null;
    },
    async prepare(scan, options) {
      const { preparation, networks } = options;
      if (scan.failure !== null) return failedScan(scan, scan.failure);
      const opened = options.opened ?? (await openScan(scan));
      const settings = settingsOf(preparation, networks);
      const key = contentKey(opened.files, { format: scan.format, settings });
      const known = await lookUp(key);
      const fresh = known === null || known === 'damaged';
      const record = fresh ? await make(scan, { ...options, key, settings, opened }) : known;
      const stored = record.sha256 === null ? null : await stateOf(volumeFile(key));
      if (opened.files.every(({ bytes }) => bytes !== null))
        // else it may be readable the next time
        await writeJson(seenFile(scan, settings), {
          files: opened.states,
          volume: key,
          stored,
        } satisfies Seen);
      const result = resultOf(scan, { key, record, fresh });
      if (known === 'damaged')
        result.findings.push({
          kind: 'damaged-store-file',
          path: volumeFile(key),
          message: `was damaged and has been made anew, for ${scan.key}`,
        });
      return result;
    },
    async read(volumeKey) {
      const file = volumeFile(volumeKey);
      const bytes = await readIfThere(file);
      if (bytes === null)
        throw new UserError('is not in the store', { file, remedy: 'prepare the dataset again' });
      return decodeNpy(bytes, file);
    },
    async record(volumeKey) {
      const file = recordFile(volumeKey);
      const record = await readJson(file).catch(() => undefined);
      if (!isRecord(record))
        throw new UserError('is not in the store, or damaged', { file, remedy: 'prepare the dataset again' });
      return record;
    },
  };
}

function failedScan({ key, label, split, name, group }: ScanEntry, failure: string): PrepareResult {
  const stored = { key, label, split, name, group, volume: null, failure, slices: 0, kept: 0 };
  return { stored, findings: [], fresh: false };
}

function resultOf(
  scan: ScanEntry,
  { key: content, record, fresh }: { key: string; record: StoreRecord; fresh: boolean },
): PrepareResult {
  const { key, label, split, name, group } = scan;
  const { failure, slices, dropped } = record;
  const volume = record.sha256 === null ? null : content;
  const kept = slices - dropped.length;
  const stored = { key, label, split, name, group, volume, failure, slices, kept };
  return { stored, findings: locate(record.findings, scan), fresh };
}

export interface PreparationProgress {
  done: number;
  total: number;
  /** Scans decoded in this run, the others were in the store. */
  fresh: number;
  /** Key of the scan just done. */
  scan: string;
}

/** What a worker is asked for. */
export interface WorkerTask {
  folder: string;
  scan: ScanEntry;
  preparations: readonly Preparation[];
}

/** A scan prepared in several ways, its files read and decoded once. */
export async function prepareInAll(
  store: VolumeStore,
  scan: ScanEntry,
  { preparations, networks = {} }: { preparations: readonly Preparation[]; networks?: PreparationNetworks },
): Promise<PrepareResult[]> {
  const results: PrepareResult[] = [];
  const opened = scan.failure === null ? await openScan(scan) : undefined;
  for (const preparation of preparations)
    results.push(await store.prepare(scan, { preparation, networks, ...(opened && { opened }) }));
  return results;
}

/**
 * Prepares all scans and returns them in index order, one list a preparation. Scans whose files have not changed are not
 * read again; the others are prepared in worker threads, one a processor, at most 8; with networks, here, two at a time.
 * Memory: the files, the volumes and up to 128 MB of decoded slices of each scan under way (DICOM and NIfTI: all of its
 * slices). Aborting throws the signal's reason after the scans under way; what is in the store stays.
 */
export async function prepareDataset(options: {
  index: Pick<DatasetIndex, 'scans'>;
  preparations: readonly Preparation[];
  store: VolumeStore;
  networks?: PreparationNetworks;
  /** Scans at a time. */
  concurrency?: number;
  onProgress?: (progress: PreparationProgress) => void;
  signal?: AbortSignal;
}): Promise<{ scans: StoredScan[][]; findings: Finding[] }> {
  const { index, preparations, store, networks = {}, onProgress, signal } = options;
  await mkdir(store.folder, { recursive: true }).catch((error: unknown) => {
    throw new UserError(`cannot be made a folder of volumes (${messageOf(error)})`, {
      file: store.folder,
      remedy: 'name another with --out or --volumes',
    });
  });
  const total = index.scans.length;
  let [done, freshScans] = [0, 0];
  const results = new Map<string, PrepareResult[]>();
  const keep = (scan: ScanEntry, prepared: PrepareResult[]) => {
    results.set(scan.key, prepared);
    if (prepared.some(({ fresh }) => fresh)) freshScans++;
    onProgress?.({ done: ++done, total, fresh: freshScans, scan: scan.key });
  };
  const unknown: ScanEntry[] = [];
  await mapConcurrent(index.scans, 16, async (scan) => {
    signal?.throwIfAborted();
    const known = await Promise.all(
      preparations.map((preparation) => store.recall(scan, { preparation, networks })),
    );
    if (known.every((result) => result !== null)) keep(scan, known);
    else unknown.push(scan);
  });
  const here = Object.keys(networks).length > 0;
  const concurrency = options.concurrency ?? (here ? 2 : Math.min(8, availableParallelism()));
  const pool = here || unknown.length === 0 ? null : workers(Math.min(concurrency, unknown.length));
  try {
    await mapConcurrent(unknown, concurrency, async (scan) => {
      signal?.throwIfAborted();
      keep(
        scan,
        pool === null
          ? await prepareInAll(store, scan, { preparations, networks })
          : await pool.run({ folder: store.folder, scan, preparations }).catch((error: unknown) => {
              throw new UserError(messageOf(error), { file: scan.key, cause: error }); // its class is lost on the way
            }),
      );
    });
  } finally {
    await pool?.destroy();
  }
  const inOrder = index.scans.map(({ key }) => results.get(key)!);
  const findings = new Map(
    inOrder.flat().flatMap(({ findings }) => findings.map((each) => [JSON.stringify(each), each] as const)),
  );
  return {
    scans: preparations.map((_, k) => inOrder.map((prepared) => prepared[k]!.stored)),
    findings: [...findings.values()],
  };
}

function workers(threads: number) {
  return new Piscina<WorkerTask, PrepareResult[]>({
    // The built worker, from src/ and dist/ alike: Node runs no TypeScript before 22.18.
    filename: fileURLToPath(new URL('../../dist/store/prepare-worker.js', import.meta.url)),
    minThreads: threads,
    maxThreads: threads,
  });
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
  const { sha256, failure, fingerprint, slices, ...lists } = value as Partial<
    Record<keyof StoreRecord, unknown>
  >;
  const texts = [sha256, failure, fingerprint].every((text) => text === null || typeof text === 'string');
  const isWhole = [lists.dropped, lists.sources, lists.findings].every(Array.isArray);
  return texts && typeof slices === 'number' && isWhole && (sha256 === null) !== (failure === null);
}

function isSeen(value: unknown): value is Seen {
  const { files, volume } = (value ?? {}) as Partial<Record<keyof Seen, unknown>>;
  return Array.isArray(files) && typeof volume === 'string';
}
