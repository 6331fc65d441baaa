// A learning rate that changes at given epochs. A recipe writes it as a list; a list with one rate is a constant.
import { fields } from '@ct-ensemble/core';
import type { z } from 'zod';
import type { ScheduleTime } from './schedule.ts';

const { above0, mapping, sequence, whole } = fields;

export const stepsSchema = sequence(
  mapping({
    from: whole.describe('First epoch of this rate; epochs count from 0.'),
    rate: above0.describe('Learning rate.'),
  }),
)
  .min(1, 'needs at least one rate')
  .superRefine((steps, context) => {
    steps.forEach(({ from }, i) => {
      const before = steps[i - 1]?.from;
      const add = (message: string) => context.addIssue({ code: 'custom', path: [i, 'from'], message });
      if (before === undefined && from !== 0) add('must be 0 for the first rate');
      if (before !== undefined && from <= before)
        add(`must be greater than ${before}, the epoch of the rate before`);
    });
  });

/** The rate of the last entry whose epoch has come. */
export function stepsRateAt(
  steps: z.infer<typeof stepsSchema>,
  { epoch }: Pick<ScheduleTime, 'epoch'>,
): number {
  const step = steps.findLast(({ from }) => from <= epoch);
  if (step === undefined) throw new Error(`the learning rate has no step for epoch ${epoch}`);
  return step.rate;
}
