// Predicts prepared scans with a trained model: one row of probabilities per scan.
import { readBatches, type StoredScan, type VolumeStore } from '@ct-ensemble/data';
import { UserError } from '@ct-ensemble/core';
import type { CapturedStep } from '@ct-ensemble/engine';
import { type PredictionInputs, type PredictionOutputs, volumesTensor } from './step.ts';

export interface PredictOptions {
  step: CapturedStep<PredictionInputs, PredictionOutputs>;
  /** Scans to predict; each must have a volume. */
  scans: readonly StoredScan[];
  store: Pick<VolumeStore, 'read'>;
  /** Scans of a batch, at most; with fewer scans than this the batch has as many as there are. */
  batchSize: number;
  /** Epoch of the weights, for the error; counts from 0. */
  epoch?: number | undefined;
  /**
   * Test-time augmentation: a scan's probabilities are the mean of those of its volume and of the volume mirrored left to right. All
   * slices are mirrored, so those of two views, too. Other flips and rotations by quarters make no chest that a scanner would show, and
   * are not offered. Default: the volumes as they are.
   */
  flips?: boolean | undefined;
  /** Called before each batch; returning true ends the prediction with a StoppedError. */
  stop?: () => boolean;
}

/** Thrown when a run stops on request. The same command resumes it from its last checkpoint. */
export class StoppedError extends Error {
  override name = 'StoppedError';
}

/**
 * Softmax probabilities, one row per scan, in the order of the scans. All batches have the same shape: the last batch is
 * padded with black volumes, whose rows are dropped.
 *
 * @throws {StoppedError} when asked to stop
 * @throws {UserError} if a probability is NaN; the message names scan and epoch
 */
export async function predictScans({
  step,
  scans,
  store,
  batchSize: largestBatch,
  epoch,
  flips = false,
  stop,
}: PredictOptions): Promise<number[][]> {
  const rows: number[][] = [];
  const batchSize = Math.min(largestBatch, Math.max(scans.length, 1));
  const order = scans.map((_, i) => i);
  for await (const batch of readBatches({ scans, order, batchSize, store })) {
    if (stop?.()) throw new StoppedError('prediction was stopped on request');
    const [size, ...volume] = batch.shape;
    const answersTo = async (bytes: Uint8Array) => {
      const volumes = volumesTensor(bytes, [batchSize, ...volume]);
      const { probabilities } = await step({ volumes });
      const values = ((await probabilities.array()) as number[][]).slice(0, size);
      probabilities.dispose();
      volumes.dispose();
      return values;
    };
    const bytes = filledUp(batch.data, size, batchSize);
    const plain = await answersTo(bytes);
    const values = flips ? meanOfRows([plain, await answersTo(mirrored(bytes, volume.at(-1)!))]) : plain;
    values.forEach((row, i) => requireFinite(row, { scan: scans[batch.samples[i]!]!.key, epoch }));
    rows.push(...values);
  }
  return rows;
}

function requireFinite(row: readonly number[], { scan, epoch }: { scan: string; epoch: number | undefined }) {
  const wrong = row.find((value) => !Number.isFinite(value));
  if (wrong === undefined) return;
  const when = epoch === undefined ? '' : ` in epoch ${epoch + 1}`;
  throw new UserError(`the member's prediction for scan ${scan}${when} is ${wrong}`, {
    remedy:
      'lower training.learningRate in the recipe, or set training.precision to float32, and train the member anew',
  });
}

/** The mean of several predictions of the same scans, each [scans, classes]. */
export function meanOfRows(predictions: readonly (readonly number[][])[]): number[][] {
  return predictions[0]!.map((row, i) =>
    row.map((_, k) => predictions.reduce((sum, rows) => sum + rows[i]![k]!, 0) / predictions.length),
  );
}

/** Every row of pixels, `width` bytes long, in reverse order. */
export function mirrored(bytes: Uint8Array, width: number): Uint8Array {
  const flipped = Uint8Array.from(bytes);
  for (let start = 0; start < flipped.length; start += width)
    flipped.subarray(start, start + width).reverse();
  return flipped;
}

/** The bytes of `size` volumes, padded with black volumes to `batchSize`. */
function filledUp(bytes: Uint8Array, size: number, batchSize: number): Uint8Array {
  if (size === batchSize) return bytes;
  const full = new Uint8Array((bytes.length / size) * batchSize);
  full.set(bytes);
  return full;
}
