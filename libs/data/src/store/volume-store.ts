// Prepared volumes on disk, each under the hash of what it was made from. A volume has two files: `<key>.npy`, which
// `numpy.load` reads, and `<key>.json`, the record with the findings. The record is written last and holds the hash of
// the volume, so a volume without a valid record counts as missing. Several processes may share a folder: they write
// the same bytes under the same names. `seen/` remembers the sizes and times of each scan's files, so that scans that
// have not changed are not read again.
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { codeOf, readJson, readRegularFile, UserError, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';
import type { Finding } from '../findings.ts';
import type { ScanEntry, StoredScan } from '../scan-entry.ts';
import { contentKey, settingsOf, type PreparationSettings } from '../volumes/content-key.ts';
import { openScan, stateOf, type OpenedScan } from '../volumes/opened-scan.ts';
import type { PrepareOptions } from '../volumes/preparation-settings.ts';
import { prepareOpened } from '../volumes/preparation.ts';
import { duplicateSlices, findingsByFile } from '../volumes/slice-findings.ts';
import type { Volume } from '../volumes/volume.ts';
import { decodeNpy, encodeNpy } from './npy.ts';
import { isSeenScan, isStoreRecord, type SeenScan, type StoreRecord } from './store-record.ts';

/** The result for one scan and one preparation. */
export interface PrepareResult {
  stored: StoredScan;
  findings: Finding[];
  /** True if the volume was made by this call, false if it was already in the store. */
  fresh: boolean;
}

export interface VolumeStore {
  readonly folder: string;
  /** The stored result, found without reading the scan's files; null if it is missing or one of the files has changed. */
  recall(scan: ScanEntry, options: PrepareOptions): Promise<PrepareResult | null>;
  /**
   * Prepares the scan unless its volume is already in the store. `opened`: the scan's files, if they have been read.
   * Unreadable slices and scans do not throw; the result has their findings, or a failure.
   */
  prepare(scan: ScanEntry, options: PrepareOptions & { opened?: OpenedScan }): Promise<PrepareResult>;
  /**
   * Reads a volume by its content key.
   * @throws {UserError} if it is not in the store, or is damaged.
   */
  read(volumeKey: string): Promise<Volume>;
  /**
   * Reads the record of a volume by its content key.
   * @throws {UserError} if it is not in the store, or is damaged.
   */
  record(volumeKey: string): Promise<StoreRecord>;
}

interface MakeOptions extends PrepareOptions {
  key: string;
  settings: PreparationSettings;
  opened: OpenedScan;
}

/** Opens the store in a folder; the folder is created with the first volume. */
export function openVolumeStore(folder: string): VolumeStore {
  const volumeFile = (key: string) => join(folder, `${key}.npy`);
  const recordFile = (key: string) => join(folder, `${key}.json`);
  const seenFile = (scan: ScanEntry, settings: PreparationSettings) =>
    join(folder, 'seen', `${sha256([Buffer.from(JSON.stringify([settings, scan.slices]))])}.json`);

  /** The record, if it and its volume are intact; `damaged` if a file is present but not intact; null if there is none. */
  async function lookUp(key: string): Promise<StoreRecord | 'damaged' | null> {
    const record = await readJson(recordFile(key)).catch(() => 'damaged');
    if (record === undefined) return null;
    if (!isStoreRecord(record)) return 'damaged';
    if (record.sha256 === null) return record;
    const bytes = await readIfPresent(volumeFile(key));
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
      findings: [...duplicateSlices(opened.files), ...rest.findings],
    };
    await writeJson(recordFile(key), record);
    return record;
  }

  return {
    folder,
    async recall(scan, { preparation, networks }) {
      if (scan.failure !== null) return failedScan(scan, scan.failure);
      const seen = await readJson(seenFile(scan, settingsOf(preparation, networks))).catch(() => undefined);
      if (!isSeenScan(seen)) return null;
      const states = await mapConcurrent([...scan.slices, volumeFile(seen.volume)], 16, stateOf);
      if (JSON.stringify(states) !== JSON.stringify([...seen.files, seen.stored])) return null;
      const record = await readJson(recordFile(seen.volume)).catch(() => undefined);
      return isStoreRecord(record) ? resultOf(scan, { key: seen.volume, record, fresh: false }) : null;
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
      // A file that could not be read may be readable the next time: such a scan is not remembered as seen.
      if (opened.files.every(({ bytes }) => bytes !== null)) {
        const stored = record.sha256 === null ? null : await stateOf(volumeFile(key));
        const seen: SeenScan = { files: opened.states, volume: key, stored };
        await writeJson(seenFile(scan, settings), seen);
      }
      const result = resultOf(scan, { key, record, fresh });
      if (known === 'damaged')
        result.findings.push({
          kind: 'damaged-store-file',
          path: volumeFile(key),
          message: `was damaged and has been prepared again, for ${scan.key}`,
        });
      return result;
    },
    async read(volumeKey) {
      const file = volumeFile(volumeKey);
      const bytes = await readIfPresent(file);
      if (bytes === null)
        throw new UserError('is not in the store', { file, remedy: 'prepare the dataset again' });
      return decodeNpy(bytes, file);
    },
    async record(volumeKey) {
      const file = recordFile(volumeKey);
      const record = await readJson(file).catch(() => undefined);
      if (!isStoreRecord(record))
        throw new UserError('is not in the store, or is damaged', {
          file,
          remedy: 'prepare the dataset again',
        });
      return record;
    },
  };
}

/** The result for a scan of which no volume was made and no record was written: it is tried again the next time. */
export function failedScan(scan: ScanEntry, failure: string): PrepareResult {
  const stored = { ...aboutOf(scan), volume: null, failure, slices: 0, kept: 0 };
  return { stored, findings: [], fresh: false };
}

/** What the data set says of a scan, for its record in the run. */
function aboutOf({ key, label, split, name, group, groups }: ScanEntry) {
  return { key, label, split, name, group, ...(groups && { groups }) };
}

function resultOf(
  scan: ScanEntry,
  { key: content, record, fresh }: { key: string; record: StoreRecord; fresh: boolean },
): PrepareResult {
  const { failure, slices, dropped } = record;
  const volume = record.sha256 === null ? null : content;
  const kept = slices - dropped.length;
  const stored = { ...aboutOf(scan), volume, failure, slices, kept };
  return { stored, findings: findingsByFile(record.findings, scan), fresh };
}

function sha256(parts: readonly Uint8Array[]) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

async function readIfPresent(file: string) {
  try {
    return await readRegularFile(file);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
}
