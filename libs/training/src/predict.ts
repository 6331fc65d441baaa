// A trained model on prepared scans: one row of probabilities a scan.
import { readBatches, type StoredScan, type VolumeStore } from '@ct-ensemble/data';
import type { CapturedStep } from '@ct-ensemble/engine';
import { type PredictionInputs, type PredictionOutputs, volumesTensor } from './step.ts';

export interface PredictOptions {
  step: CapturedStep<PredictionInputs, PredictionOutputs>;
  /** Scans with a volume. */
  scans: readonly StoredScan[];
  store: Pick<VolumeStore, 'read'>;
  batchSize: number;
  /** Asked between batches; true ends the prediction with a StoppedError. */
  stop?: () => boolean;
}

/** Thrown when a run was asked to stop; nothing is lost, the same command goes on. */
export class StoppedError extends Error {
  override name = 'StoppedError';
}

/** Softmax probabilities, one row a scan in the scans' order. Every batch has the same shape: the last is filled up. */
export async function predictScans({
  step,
  scans,
  store,
  batchSize,
  stop,
}: PredictOptions): Promise<number[][]> {
  const rows: number[][] = [];
  const order = scans.map((_, i) => i);
  for await (const batch of readBatches({ scans, order, batchSize, store })) {
    if (stop?.()) throw new StoppedError('stopped as asked');
    const [size, ...volume] = batch.shape;
    const volumes = volumesTensor(filledUp(batch.data, size, batchSize), [batchSize, ...volume]);
    const { probabilities } = await step({ volumes });
    rows.push(...((await probabilities.array()) as number[][]).slice(0, size));
    probabilities.dispose();
    volumes.dispose();
  }
  return rows;
}

/** The bytes of `size` volumes, followed by black ones up to `batchSize`. */
function filledUp(bytes: Uint8Array, size: number, batchSize: number): Uint8Array {
  if (size === batchSize) return bytes;
  const full = new Uint8Array((bytes.length / size) * batchSize);
  full.set(bytes);
  return full;
}
