// Mini-batches from the store, the next ones read while the caller works.
import { UserError } from '@ct-ensemble/core';
import type { VolumeStore } from '../store/volume-store.ts';
import type { StoredScan } from '../scan-entry.ts';

/** One mini-batch as it leaves the worker: uint8, not scaled, not augmented. */
export interface Batch {
  /** C order [batch, depth, height, width]. */
  data: Uint8Array;
  shape: [number, number, number, number];
  /** [batch], label per scan; −1 where unknown. */
  labels: Int32Array;
  /** The samples' indices in the caller's list. */
  samples: number[];
}

/**
 * Batches in the given order (indices into `scans`); the next `ahead` (default 1) are read while the caller works; the
 * last may be smaller. Memory: ahead + 1 batches at most, the caller's among them. An error surfaces when its batch is asked for: a UserError for a scan without a volume, for
 * volumes of different shapes and for a damaged store. Returning early stops the reading.
 */
export async function* readBatches(options: {
  scans: readonly StoredScan[];
  order: readonly number[];
  batchSize: number;
  store: Pick<VolumeStore, 'read'>;
  ahead?: number;
}): AsyncGenerator<Batch> {
  const { scans, order, batchSize, store, ahead = 1 } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new UserError(`batch size: ${batchSize} is not a whole number above zero`);
  const stop = new AbortController();
  const reading: Promise<Batch>[] = [];
  let next = 0;
  const readUpTo = (batches: number) => {
    while (reading.length < batches && next < order.length) {
      const batch = readBatch({
        scans,
        samples: order.slice(next, next + batchSize),
        store,
        signal: stop.signal,
      });
      batch.catch(() => undefined); // It is thrown where the batch is awaited.
      reading.push(batch);
      next += batchSize;
    }
  };
  try {
    for (readUpTo(Math.max(1, ahead)); reading.length > 0; readUpTo(1)) {
      const batch = await reading.shift()!;
      readUpTo(ahead);
      yield batch;
    }
  } finally {
    stop.abort();
    await Promise.allSettled(reading);
  }
}

async function readBatch(options: {
  scans: readonly StoredScan[];
  samples: number[];
  store: Pick<VolumeStore, 'read'>;
  signal: AbortSignal;
}): Promise<Batch> {
  const { scans, samples, store, signal } = options;
  const labels = new Int32Array(samples.length);
  let data = new Uint8Array(0);
  let shape: Batch['shape'] = [samples.length, 0, 0, 0];
  for (const [i, sample] of samples.entries()) {
    signal.throwIfAborted();
    const scan = scans[sample];
    if (scan === undefined) throw new UserError(`sample ${sample} is not among the ${scans.length} scans`);
    if (scan.volume === null)
      throw new UserError(`has no volume: ${scan.failure}`, { file: scan.key, remedy: 'leave the scan out' });
    const volume = await store.read(scan.volume);
    const size: Batch['shape'] = [samples.length, volume.depth, volume.height, volume.width];
    if (i === 0) {
      shape = size;
      data = new Uint8Array(samples.length * volume.data.length);
    } else if (shape.join() !== size.join())
      throw new UserError(
        `has the shape ${size.slice(1).join('×')}, others of the batch ${shape.slice(1).join('×')}`,
        {
          file: scan.key,
          remedy: 'prepare all scans to one size',
        },
      );
    data.set(volume.data, i * volume.data.length);
    labels[i] = scan.label ?? -1;
  }
  return { data, shape, labels, samples };
}
