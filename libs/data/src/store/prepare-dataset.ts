// All scans of an index into the store: recalled where nothing has changed, otherwise prepared in worker threads.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf, sweepTemporaryFiles, usableCores, UserError } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';
import type { Finding } from '../findings.ts';
import type { DatasetIndex } from '../layouts/dataset-index.ts';
import type { ScanEntry, StoredScan } from '../scan-entry.ts';
import type { Preparation, PreparationNetworks } from '../volumes/preparation-settings.ts';
import { prepareScan, type WorkerTask } from './prepare-scan.ts';
import { startWorkers } from './preparation-workers.ts';
import { failedScan, type PrepareResult, type VolumeStore } from './volume-store.ts';

/** Reported after each scan. */
export interface PreparationProgress {
  /** Number of scans done so far. */
  done: number;
  /** Number of scans in the index. */
  total: number;
  /** How many of the done scans were prepared by this run; the others were already in the store. */
  fresh: number;
  /** Key of the scan just done. */
  scan: string;
}

/** At most this many worker threads, or fewer on a machine with fewer processors. */
const MAX_WORKERS = 8;

/** Seconds after which a scan's preparation in a worker thread is stopped; ordinary scans take about a second. */
export const SCAN_DEADLINE = 600;

/** Number of scans prepared at the same time in this thread if networks are used. */
const SCANS_WITH_NETWORKS = 2;

/**
 * Prepares all scans, each in every one of the given ways. `scans` of the result holds one list per preparation, in the
 * order of the index; equal findings of several preparations are listed once.
 *
 * Scans whose files have not changed are not read again. The others are prepared in worker threads, one per processor
 * and at most 8; with networks they are prepared in this thread, two at a time. Memory for each scan in progress: its
 * files, its volumes and up to 128 MB of decoded slices (DICOM and NIfTI: all of its slices).
 *
 * An unreadable scan does not throw: its `StoredScan` has a failure. The same holds for a scan whose preparation takes
 * longer than `deadline`, needs more memory than there is, or ends its worker thread in another way: the thread is
 * stopped and replaced, the other scans are prepared, and this one is tried again the next time. Without worker threads
 * (with networks) there is no deadline.
 * @throws {UserError} if the store's folder cannot be created, or a scan cannot be prepared for a reason other than its
 * files. After `signal` is aborted, throws the signal's reason once the scans in progress are done; what is in the
 * store stays.
 */
export async function prepareDataset(options: {
  index: Pick<DatasetIndex, 'scans'>;
  preparations: readonly Preparation[];
  store: VolumeStore;
  networks?: PreparationNetworks;
  /** Number of scans prepared at the same time. */
  concurrency?: number;
  /** Seconds for each scan. Default: `SCAN_DEADLINE`. */
  deadline?: number;
  onProgress?: (progress: PreparationProgress) => void;
  signal?: AbortSignal;
}): Promise<{ scans: StoredScan[][]; findings: Finding[] }> {
  const { index, preparations, store, networks = {}, onProgress, signal } = options;
  const { deadline = SCAN_DEADLINE } = options;
  await mkdir(store.folder, { recursive: true }).catch((error: unknown) => {
    throw new UserError(`cannot be created as the folder of volumes (${messageOf(error)})`, {
      file: store.folder,
      remedy: 'name another with --out or --volumes',
    });
  });
  for (const folder of [store.folder, join(store.folder, 'seen')]) await sweepTemporaryFiles(folder);
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

  const inThisThread = Object.keys(networks).length > 0;
  const concurrency =
    options.concurrency ?? (inThisThread ? SCANS_WITH_NETWORKS : Math.min(MAX_WORKERS, usableCores()));
  const pool =
    inThisThread || unknown.length === 0
      ? null
      : startWorkers<WorkerTask, PrepareResult[]>({
          threads: Math.min(concurrency, unknown.length),
          script: 'prepare-worker',
          failed: ({ scan, preparations }, { failure, findings }) =>
            preparations.map(() => ({ ...failedScan(scan, failure), findings })),
        });
  try {
    await mapConcurrent(unknown, concurrency, async (scan) => {
      signal?.throwIfAborted();
      keep(
        scan,
        pool === null
          ? await prepareScan(store, scan, { preparations, networks })
          : await pool.prepare({ folder: store.folder, scan, preparations }, deadline),
      );
    });
  } finally {
    await pool?.close();
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
