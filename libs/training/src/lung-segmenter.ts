// The lung segmenter: a network that marks the lungs' pixels.
import type { LungSegmenter } from '@ct-ensemble/data';
import tf from '@tensorflow/tfjs';
import { augment } from './augmentations/augment.ts';
import { openSliceNetwork, type SliceScores, type SliceTask } from './slice-network.ts';

export const lungSegmenter: SliceTask = {
  kind: 'lung-segmenter',
  output: 'map',
  classes: ['lung'],
  lungLogits: (logits) => tf.squeeze(logits, [3]),
  truthOf(truth, draws) {
    const { columns, rows } = draws;
    if (columns === undefined || rows === undefined) return truth;
    return tf.squeeze(augment(tf.expandDims(truth, 1), { columns, rows }), [3]); // rounded: 0 and 1 again
  },
  scoresOf: segmenterScores,
};

/** `score` is the mean of the slices' Dice coefficients. */
export function segmenterScores(truth: readonly Uint8Array[], decided: readonly Uint8Array[]): SliceScores {
  return { score: truth.reduce((sum, mask, i) => sum + dice(mask, decided[i]!), 0) / truth.length };
}

/** Dice (1945): 2 |A ∩ B| / (|A| + |B|) of two masks of 0 and 1; two empty masks agree, 1. */
export function dice(a: Uint8Array, b: Uint8Array): number {
  let [both, sum] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    both += a[i]! & b[i]!;
    sum += a[i]! + b[i]!;
  }
  return sum === 0 ? 1 : (2 * both) / sum;
}

/**
 * The segmenter of a file of weights, on the engine that this thread has open.
 * @throws {UserError} for a file that is not a segmenter's.
 */
export async function openLungSegmenter(
  file: string,
  options: { batchSize?: number } = {},
): Promise<LungSegmenter & { dispose(): void }> {
  const { id, edge, decide, dispose } = await openSliceNetwork(lungSegmenter, file, options);
  return { id, edge, masks: decide, dispose };
}
