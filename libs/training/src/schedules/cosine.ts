// Cosine annealing with a linear warm-up (Loshchilov and Hutter, ICLR 2017, "SGDR", without restarts).
import { fields } from '@ct-ensemble/core';
import { z } from 'zod';
import type { ScheduleDefinition } from './schedule.ts';

const { above0, from0, mapping } = fields;

const schema = mapping({
  schedule: z.literal('cosine'),
  rate: above0.describe('Highest learning rate, at the end of the warm-up.'),
  warmUp: from0.default(0).describe('Epochs of linear warm-up.'),
  final: from0.default(0).describe('Learning rate after the last step.'),
}).refine(({ rate, final }) => final <= rate, { path: ['final'], error: 'must not be above rate' });

/**
 * Step by step, of N steps with W of them to warm up: rate · (t + 1) / (W + 1) for t < W, then
 * final + (rate − final) · (1 + cos(π (t − W) / (N − W))) / 2. In PyTorch LinearLR(start_factor=1/(W + 1), total_iters=W) and
 * CosineAnnealingLR(T_max=N − W, eta_min=final), joined by SequentialLR at W and stepped once a step.
 */
export const cosine = {
  name: 'cosine',
  schema,
  rateAt({ rate, warmUp, final }, { step, stepsPerEpoch, epochs }) {
    const warm = Math.round(warmUp * stepsPerEpoch);
    if (step < warm) return (rate * (step + 1)) / (warm + 1);
    const share = (step - warm) / (epochs * stepsPerEpoch - warm);
    return final + ((rate - final) * (1 + Math.cos(Math.PI * share))) / 2;
  },
  problems: ({ warmUp }, epochs) =>
    warmUp < epochs ? [] : [{ field: 'warmUp', message: `must be below epochs, ${epochs}` }],
} satisfies ScheduleDefinition<z.infer<typeof schema>>;
