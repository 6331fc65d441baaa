// Schema of `training` in a recipe: how a member is trained. Losses, optimizers, schedules and augmentations come from
// their registries.
import { fields } from '@ct-ensemble/core';
import { z } from 'zod';
import { augmentationSchema } from './augmentations/index.ts';
import { lossSchema } from './losses/index.ts';
import { optimizerSchema } from './optimizers/index.ts';
import { scheduleProblems, scheduleSchema } from './schedules/index.ts';

const { above0, count, countUpTo, decay, mapping } = fields;

/** How a member is trained: `training` in a recipe. */
export const trainingSchema = mapping({
  epochs: countUpTo(100_000).describe('Passes over the training scans.'),
  batchSize: countUpTo(4096).describe('Scans per step.'),
  accumulate: count
    .optional()
    .describe(
      'Micro-batches in which a step computes its scans, one after the other, for less memory. Default 1.',
    ),
  loss: lossSchema,
  optimizer: optimizerSchema,
  learningRate: scheduleSchema.describe(
    'A list of rates, the first from epoch 0, each later one from a later epoch; or a named schedule.',
  ),
  gradientClip: above0.optional().describe('Greatest norm of all gradients together. Default: none.'),
  averageWeights: mapping({
    decay: decay.describe('The average keeps this share of itself at each step.'),
  })
    .optional()
    .describe(
      'Moving average of the weights; validation, best checkpoint and probabilities use it. Default: none.',
    ),
  precision: z
    .enum(['float32', 'mixed', 'mixed-float16'], 'must be float32, mixed or mixed-float16')
    .optional()
    .describe(
      'Of convolutions and matrix products. mixed: 16 bits where the device has them; mixed-float16: float16. Default float32.',
    ),
  augmentation: augmentationSchema,
}).superRefine(({ accumulate = 1, batchSize, learningRate, epochs }, context) => {
  const add = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
  if (batchSize % accumulate !== 0)
    add(['accumulate'], `must divide batchSize, ${batchSize}, without a remainder`);
  for (const { field, message } of scheduleProblems(learningRate, epochs))
    add(['learningRate', field], message);
});

export type TrainingOptions = z.infer<typeof trainingSchema>;
