// Adam (Kingma and Ba, ICLR 2015).
import { fields } from '@ct-ensemble/core';
import { adamRule, type OptimizerRule } from '@ct-ensemble/engine';
import { z } from 'zod';
import type { OptimizerDefinition } from './optimizer.ts';

const { above0, decay, from0, mapping } = fields;

/** The fields that Adam and AdamW share. */
export const adamFields = {
  beta1: decay.default(0.9).describe('Decay of the mean of the gradient.'),
  beta2: decay.default(0.999).describe('Decay of the mean of its square.'),
  epsilon: above0.default(1e-8).describe('Added to the denominator.'),
};

const schema = mapping({
  name: z.literal('adam'),
  ...adamFields,
  weightDecay: from0.optional().describe('L2: this times the weights is added to the gradient. Default 0.'),
});

/** torch.optim.Adam: the L2 term is part of the gradient, and so of both moments. */
export const adam = {
  name: 'adam',
  schema,
  rule: ({ beta1, beta2, epsilon, weightDecay = 0 }): OptimizerRule =>
    adamRule({ beta1, beta2, epsilon, weightDecay, decay: 'l2' }),
} satisfies OptimizerDefinition<z.infer<typeof schema>>;
