// The slice filter: a network that classifies slices as showing lung or not.
import type { SliceFilter } from '@ct-ensemble/data';
import tf, { type Tensor, type Tensor2D } from '@tensorflow/tfjs';
import { openSliceNetwork, type SliceScores, type SliceTask, type WeightsInMemory } from './slice-network.ts';

export const sliceFilter: SliceTask = {
  kind: 'slice-filter',
  output: 'classes',
  classes: ['non-lung', 'lung'],
  /** [batch, 2] → [batch, 1]. The binary cross entropy of the logits' difference equals the softmax cross entropy of both. */
  lungLogits(logits) {
    const [none, lung] = tf.split(logits as Tensor2D, 2, 1);
    return tf.sub(lung!, none!);
  },
  truthOf: (truth: Tensor) => truth,
  scoresOf: filterScores,
};

/**
 * Scores of predicted classes. `score` is the mean recall of the classes that occur (balanced accuracy): plain accuracy is
 * too optimistic if one class is rare.
 */
export function filterScores(truth: readonly Uint8Array[], decided: readonly Uint8Array[]): SliceScores {
  const right = [0, 0];
  const all = [0, 0];
  truth.forEach(([label], i) => {
    all[label!]!++;
    if (decided[i]![0] === label) right[label!]!++;
  });
  const recalls = right.map((count, label) => count / all[label]!);
  const present = recalls.filter((recall) => !Number.isNaN(recall));
  return {
    score: present.reduce((sum, recall) => sum + recall, 0) / present.length,
    accuracy: (right[0]! + right[1]!) / truth.length,
    ...(all[1]! > 0 && { lungKept: recalls[1]! }),
    ...(all[0]! > 0 && { nonLungLeftOut: recalls[0]! }),
  };
}

/**
 * Loads a slice filter from its weights file, or from the bytes of it, on the open engine of this thread.
 *
 * @throws {UserError} if the file is not the weights of a slice filter
 */
export async function openSliceFilter(
  file: string | WeightsInMemory,
  options: { batchSize?: number } = {},
): Promise<SliceFilter & { dispose(): void }> {
  const { id, decide, dispose } = await openSliceNetwork(sliceFilter, file, options);
  return {
    id,
    keep: async (slices) => (await decide(slices)).map(([lung]) => lung === 1),
    dispose,
  };
}
