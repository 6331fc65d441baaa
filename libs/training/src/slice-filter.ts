// The slice filter: a classifier that tells slices with lung from those without.
import type { SliceFilter } from '@ct-ensemble/data';
import tf, { type Tensor, type Tensor2D } from '@tensorflow/tfjs';
import { openSliceNetwork, type SliceScores, type SliceTask } from './slice-network.ts';

export const sliceFilter: SliceTask = {
  kind: 'slice-filter',
  output: 'classes',
  classes: ['non-lung', 'lung'],
  /** [batch, 2] → [batch, 1]: the binary cross entropy of the difference is the softmax cross entropy of the two. */
  lungLogits(logits) {
    const [none, lung] = tf.split(logits as Tensor2D, 2, 1);
    return tf.sub(lung!, none!);
  },
  truthOf: (truth: Tensor) => truth,
  scoresOf: filterScores,
};

/** `score` is the mean of the two recalls, of those whose class is there; with fewer slices of one class accuracy flatters. */
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
 * The filter of a file of weights, on the engine that this thread has open.
 * @throws {UserError} for a file that is not a filter's.
 */
export async function openSliceFilter(
  file: string,
  options: { batchSize?: number } = {},
): Promise<SliceFilter & { dispose(): void }> {
  const { id, decide, dispose } = await openSliceNetwork(sliceFilter, file, options);
  return {
    id,
    keep: async (slices) => (await decide(slices)).map(([lung]) => lung === 1),
    dispose,
  };
}
