// AdamW (Loshchilov and Hutter, ICLR 2019, "Decoupled weight decay regularization").
import { fields } from '@ct-ensemble/core';
import { adamRule, type OptimizerRule } from '@ct-ensemble/engine';
import { z } from 'zod';
import { adamFields } from './adam.ts';
import type { OptimizerDefinition } from './optimizer.ts';

const schema = fields.mapping({
  name: z.literal('adamw'),
  ...adamFields,
  weightDecay: fields.from0
    .default(0.01)
    .describe('The weights shrink by this times the learning rate at each step.'),
});

/** torch.optim.AdamW: w ← w · (1 − rate · decay), then Adam's update, whose moments know nothing of the decay. */
export const adamw = {
  name: 'adamw',
  schema,
  rule: ({ beta1, beta2, epsilon, weightDecay }): OptimizerRule => ({
    ...adamRule({ beta1, beta2, epsilon, weightDecay, decay: 'decoupled' }),
    name: 'adamw',
  }),
} satisfies OptimizerDefinition<z.infer<typeof schema>>;
