// The part of a recipe that says how a member is trained, field by field.
import { fields } from '@ct-ensemble/core';
import { z } from 'zod';

const { above0, countUpTo, decay, flag, from0, mapping, probability, sequence, whole } = fields;

const gainSchema = mapping({
  factor: above0.describe('Grey values are multiplied by this.'),
  probability: probability.describe('Probability that they are.'),
});

const factorSchema = mapping({
  from: above0.describe('Smallest factor.'),
  to: above0.describe('Greatest factor.'),
  probability: probability.describe('Probability that it is applied.'),
}).refine(({ from, to }) => from <= to, { path: ['to'], error: 'must not be below from' });

const augmentationSchema = mapping({
  rotate: from0.default(0).describe('Rotation by an angle drawn from ±this, in degrees; 0: none.'),
  flipHorizontal: probability.default(0).describe('Probability of a horizontal flip.'),
  flipVertical: sequence(probability)
    .max(100, 'must have at most 100 items')
    .default([])
    .describe('Probability of each vertical flip, drawn in turn.'),
  blur: probability.default(0).describe('Probability of a 3×3 blur.'),
  gain: sequence(gainSchema)
    .max(100, 'must have at most 100 items')
    .default([])
    .describe('Gains, drawn in turn, each by itself.'),
  interpolation: z
    .enum(['linear', 'nearest'], 'must be linear or nearest')
    .optional()
    .describe('Of a rotation. linear, the default: mirrored at the border; nearest: black beyond it.'),
  brightness: factorSchema.optional().describe('Grey values times a factor.'),
  contrast: factorSchema.optional().describe("Distances from the slice's mean times a factor."),
  perSlice: flag.optional().describe('A draw for every slice; default: one for all slices of a scan.'),
}).describe('`none` and every field left out mean: do not.');

const rateSchema = mapping({
  from: whole.describe('First epoch of this rate; epochs count from 0.'),
  rate: above0.describe('Learning rate.'),
});

/** How a member is trained: `training` in a recipe. */
export const trainingSchema = mapping({
  epochs: countUpTo(100_000).describe('Passes over the training scans.'),
  batchSize: countUpTo(4096).describe('Scans per step.'),
  loss: mapping({
    name: z.enum(['focal'], 'must be focal'),
    gamma: from0.describe('Focusing exponent γ; 0 is plain cross entropy.'),
  }),
  optimizer: mapping({
    name: z.enum(['adam'], 'must be adam'),
    beta1: decay.default(0.9).describe('Decay of the mean of the gradient.'),
    beta2: decay.default(0.999).describe('Decay of the mean of its square.'),
    epsilon: above0.default(1e-8).describe('Added to the denominator.'),
  }).describe('Without weight decay.'),
  learningRate: sequence(rateSchema)
    .min(1, 'needs at least one rate')
    .max(1000, 'must have at most 1000 rates')
    .describe('Step schedule: the first rate from epoch 0, each later one from a later epoch.'),
  augmentation: z.preprocess((value) => (value === 'none' ? {} : value), augmentationSchema),
});
