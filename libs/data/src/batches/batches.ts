// Mini-batches of volumes from the store; the next ones are read while the caller works.
import { UserError } from '@ct-ensemble/core';
import type { VolumeStore } from '../store/volume-store.ts';
import type { StoredScan } from '../scan-entry.ts';

/** One mini-batch: uint8, neither scaled nor augmented. */
export interface Batch {
  /** Grey values, C order [batch, depth, height, width]. */
  data: Uint8Array;
  shape: [number, number, number, number];
  /** [batch], the label of each scan; −1 if unknown. */
  labels: Int32Array;
  /** [batch], indices into the caller's `scans`. */
  samples: number[];
}

/**
 * Yields batches of the samples in `order` (indices into `scans`); the last may be smaller. While the caller works, the
 * next `ahead` batches (default 1) are read. Memory: at most ahead + 1 batches, including the caller's. If the caller
 * leaves the loop early, reading stops.
 * @throws {UserError} when the batch in question is requested: a scan has no volume, the volumes of a batch have different
 * shapes, a volume is missing in the store or damaged, or an index is not among the scans.
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
      batch.catch(() => undefined); // the error is thrown when the batch is awaited
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
