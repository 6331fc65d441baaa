// Stochastic gradient descent with momentum (Sutskever et al., ICML 2013).
import { fields } from '@ct-ensemble/core';
import { updateInPlace, type VariableUpdate } from '@ct-ensemble/engine';
import tf, { type Scalar } from '@tensorflow/tfjs';
import { z } from 'zod';
import type { OptimizerDefinition } from './optimizer.ts';

const { decay, flag, from0, mapping } = fields;

const schema = mapping({
  name: z.literal('sgd'),
  momentum: decay.default(0).describe('Share of the last step’s direction that is kept.'),
  nesterov: flag.default(false).describe('Looks ahead along the momentum.'),
  weightDecay: from0.default(0).describe('L2: this times the weights is added to the gradient.'),
}).refine(({ nesterov, momentum }) => !nesterov || momentum > 0, {
  path: ['nesterov'],
  error: 'needs a momentum above 0',
});

interface Coefficients {
  rate: Scalar;
  momentum: Scalar;
  weightDecay: Scalar;
}

/**
 * torch.optim.SGD without dampening: g ← g + decay · w; b ← μ · b + g; w ← w − rate · b, or with Nesterov's momentum
 * w ← w − rate · (g + μ · b).
 */
export const sgd = {
  name: 'sgd',
  schema,
  rule(options) {
    const hasMomentum = options.momentum > 0;
    return {
      name: 'sgd',
      state: hasMomentum ? ['momentum_buffer'] : [],
      rates: (learningRate: number) => [learningRate],
      coefficients: ([rate]: readonly Scalar[], unless: (value: Scalar, idle: number) => Scalar) => ({
        rate: unless(rate!, 0),
        momentum: unless(tf.scalar(options.momentum), 1),
        weightDecay: unless(tf.scalar(options.weightDecay), 0),
      }),
      apply(update: VariableUpdate, { rate, momentum, weightDecay }: Coefficients) {
        const { variable } = update;
        const g =
          options.weightDecay === 0
            ? update.gradient
            : tf.add(update.gradient, tf.mul(variable, weightDecay));
        if (!hasMomentum) {
          if (updateInPlace({ name: 'ResourceApplyGradientDescent' }, [variable], [rate, g])) return;
          variable.assign(tf.sub(variable, tf.mul(g, rate)));
          return;
        }
        const buffer = update.state['momentum_buffer']!;
        const op = { name: 'ResourceApplyMomentum', attributes: { use_nesterov: options.nesterov } };
        if (updateInPlace(op, [variable, buffer], [rate, g, momentum])) return;
        buffer.assign(tf.add(tf.mul(buffer, momentum), g));
        const direction = options.nesterov ? tf.add(g, tf.mul(buffer, momentum)) : buffer;
        variable.assign(tf.sub(variable, tf.mul(direction, rate)));
      },
    };
  },
} satisfies OptimizerDefinition<z.infer<typeof schema>>;
