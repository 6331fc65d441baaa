// One scan prepared in several ways: what a worker thread of `prepareDataset` does.
import type { ScanEntry } from '../scan-entry.ts';
import { openScan } from '../volumes/opened-scan.ts';
import type { Preparation, PreparationNetworks } from '../volumes/preparation-settings.ts';
import type { PrepareResult, VolumeStore } from './volume-store.ts';

/** Message to a worker thread. */
export interface WorkerTask {
  /** Folder of the store. */
  folder: string;
  scan: ScanEntry;
  preparations: readonly Preparation[];
}

/** Prepares a scan in several ways while its files are read and decoded once; the results are in the given order. */
export async function prepareScan(
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
