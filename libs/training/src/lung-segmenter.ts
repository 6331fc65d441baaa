// The lung segmenter: a network that marks the pixels of the lungs in a slice.
import type { LungSegmenter } from '@ct-ensemble/data';
import tf from '@tensorflow/tfjs';
import { augment } from './augmentations/augment.ts';
import { openSliceNetwork, type SliceScores, type SliceTask, type WeightsInMemory } from './slice-network.ts';

export const lungSegmenter: SliceTask = {
  kind: 'lung-segmenter',
  output: 'map',
  classes: ['lung'],
  lungLogits: (logits) => tf.squeeze(logits, [3]),
  truthOf(truth, draws) {
    const { columns, rows } = draws;
    if (columns === undefined || rows === undefined) return truth;
    return tf.squeeze(augment(tf.expandDims(truth, 1), { columns, rows }), [3]); // values are rounded, so they stay 0 and 1
  },
  scoresOf: segmenterScores,
};

/** Scores of predicted masks; `score` is the mean Dice coefficient of the slices. */
export function segmenterScores(truth: readonly Uint8Array[], decided: readonly Uint8Array[]): SliceScores {
  return { score: truth.reduce((sum, mask, i) => sum + dice(mask, decided[i]!), 0) / truth.length };
}

/** The Dice coefficient (Dice 1945) of two masks of 0 and 1: 2 |A ∩ B| / (|A| + |B|); 1 for two empty masks. */
export function dice(a: Uint8Array, b: Uint8Array): number {
  let [both, sum] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    both += a[i]! & b[i]!;
    sum += a[i]! + b[i]!;
  }
  return sum === 0 ? 1 : (2 * both) / sum;
}

/**
 * Loads a segmenter from its weights file, or from the bytes of it, on the open engine of this thread.
 *
 * @throws {UserError} if the file is not the weights of a lung segmenter
 */
export async function openLungSegmenter(
  file: string | WeightsInMemory,
  options: { batchSize?: number } = {},
): Promise<LungSegmenter & { dispose(): void }> {
  const { id, edge, decide, dispose } = await openSliceNetwork(lungSegmenter, file, options);
  return { id, edge, masks: decide, dispose };
}
