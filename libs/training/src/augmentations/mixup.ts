// mixup (Zhang et al., ICLR 2018): a training batch is mixed with itself in another order, images and labels alike.
import { fields, permutation, randomStream, type RandomStream } from '@ct-ensemble/core';
import tf, { type Scalar, type Tensor, type Tensor1D } from '@tensorflow/tfjs';

/** The field of a recipe's `augmentation`. */
export const mixupField = fields
  .mapping({
    alpha: fields.above0.describe('λ is drawn from Beta(α, α): small values mix little, 1 is uniform.'),
  })
  .optional()
  .describe('Each batch becomes λ · itself + (1 − λ) · itself in another order.');

export interface Mix {
  /** Share of the scan itself, one for the batch as in the authors' code. */
  lambda: number;
  /** For each scan of the batch the one that it is mixed with, possibly itself. */
  partners: number[];
}

/** Draws by seed, epoch and the batch's number in the epoch. */
export function drawMix(
  { alpha }: { alpha: number },
  key: { seed: number; epoch: number; step: number; size: number },
): Mix {
  const { seed, epoch, step, size } = key;
  const stream = { seed, purpose: 'mixup', epoch, sample: step };
  return {
    lambda: beta(alpha, randomStream(stream)),
    partners: permutation(size, { ...stream, purpose: 'mixup partners' }),
  };
}

/** The labels' one-hot rows, mixed: row i is λ · yᵢ + (1 − λ) · y of its partner. */
export function mixedTruth(oneHot: readonly (readonly number[])[], { lambda, partners }: Mix): number[][] {
  return oneHot.map((row, i) => row.map((y, c) => lambda * y + (1 - lambda) * oneHot[partners[i]!]![c]!));
}

/** What the step takes. */
export function mixTensors({ lambda, partners }: Mix): { mixShare: Scalar; mixPartners: Tensor1D } {
  return { mixShare: tf.scalar(lambda), mixPartners: tf.tensor1d(partners, 'int32') };
}

/** The images of a batch, mixed as its labels: λ · x + (1 − λ) · x in the partners' order. Inside the captured step. */
export function mixedImages<T extends Tensor>(
  x: T,
  { mixShare, mixPartners }: Readonly<Record<string, Tensor>>,
): T {
  const partners = tf.gatherND(x, tf.expandDims(mixPartners!, 1)); // tf.gather reads the indices in JavaScript
  return tf.add(tf.mul(x, mixShare!), tf.mul(partners, tf.sub(1, mixShare!)));
}

/** A draw from Beta(α, α) as X / (X + Y) of two draws from Gamma(α), by their logarithms: for a small α both underflow. */
function beta(alpha: number, random: RandomStream): number {
  const [x, y] = [logGamma(alpha, random), logGamma(alpha, random)];
  return 1 / (1 + Math.exp(y - x));
}

/** The logarithm of a draw from Gamma(α): Marsaglia and Tsang (2000), with Gamma(α + 1) · U^(1/α) for α below 1. */
function logGamma(alpha: number, random: RandomStream): number {
  if (alpha < 1) return logGamma(alpha + 1, random) + Math.log(1 - random.uniform()) / alpha;
  const d = alpha - 1 / 3;
  for (;;) {
    const x = random.normal();
    const v = (1 + x / Math.sqrt(9 * d)) ** 3;
    if (v > 0 && Math.log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v))
      return Math.log(d * v);
  }
}
