// A factor that is drawn with a probability: what gain, brightness and contrast have in common.
import { fields, type RandomStream } from '@ct-ensemble/core';
import tf, { type Tensor, type Tensor4D } from '@tensorflow/tfjs';
import type { z } from 'zod';

const { above0, mapping, probability } = fields;

/** A factor between `from` and `to`, applied with a probability. */
export const factorSchema = mapping({
  from: above0.describe('Smallest factor.'),
  to: above0.describe('Greatest factor.'),
  probability: probability.describe('Probability that it is applied.'),
}).refine(({ from, to }) => from <= to, { path: ['to'], error: 'must not be below from' });

export type FactorRange = z.infer<typeof factorSchema>;

/** The factor, 1 where none is applied. */
export function drawFactor(range: FactorRange | undefined, random: RandomStream): number {
  if (range === undefined || random.uniform() >= range.probability) return 1;
  return range.from + (range.to - range.from) * random.uniform();
}

/** Cut at white, the rest of the fraction dropped: albumentations' gain and Pillow's brightness. */
export function scaled(grey: Tensor4D, factor: Tensor): Tensor4D {
  return tf.floor(tf.minimum(tf.mul(grey, factor), 255));
}
