// All scans of an index into the store: recalled where nothing has changed, otherwise prepared in worker threads.
import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { messageOf, sweepTemporaryFiles, UserError } from '@ct-ensemble/core';
import { join } from 'node:path';
import { Piscina } from 'piscina';
import { mapConcurrent } from '../concurrent.ts';
import type { Finding } from '../findings.ts';
import type { DatasetIndex } from '../layouts/dataset-index.ts';
import type { ScanEntry, StoredScan } from '../scan-entry.ts';
import type { Preparation, PreparationNetworks } from '../volumes/preparation-settings.ts';
import { prepareScan, type WorkerTask } from './prepare-scan.ts';
import type { PrepareResult, VolumeStore } from './volume-store.ts';

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
 * An unreadable scan does not throw: its `StoredScan` has a failure.
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
  onProgress?: (progress: PreparationProgress) => void;
  signal?: AbortSignal;
}): Promise<{ scans: StoredScan[][]; findings: Finding[] }> {
  const { index, preparations, store, networks = {}, onProgress, signal } = options;
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
    options.concurrency ??
    (inThisThread ? SCANS_WITH_NETWORKS : Math.min(MAX_WORKERS, availableParallelism()));
  const pool =
    inThisThread || unknown.length === 0 ? null : startWorkers(Math.min(concurrency, unknown.length));
  try {
    await mapConcurrent(unknown, concurrency, async (scan) => {
      signal?.throwIfAborted();
      keep(
        scan,
        pool === null
          ? await prepareScan(store, scan, { preparations, networks })
          : await pool.run({ folder: store.folder, scan, preparations }).catch((error: unknown) => {
              // An error that crosses threads loses its class.
              throw new UserError(messageOf(error), { file: scan.key, cause: error });
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

function startWorkers(threads: number) {
  return new Piscina<WorkerTask, PrepareResult[]>({
    // The built worker, whether this file runs from src/ or dist/: Node runs no TypeScript before 22.18.
    filename: fileURLToPath(new URL('../../dist/store/prepare-worker.js', import.meta.url)),
    minThreads: threads,
    maxThreads: threads,
  });
}
