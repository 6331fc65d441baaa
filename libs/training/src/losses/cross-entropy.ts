// The softmax cross entropy.
import tf, { type Tensor2D } from '@tensorflow/tfjs';
import { z } from 'zod';
import { type LossDefinition, lossFields, meanOverClasses } from './loss.ts';

const schema = lossFields({ name: z.literal('cross-entropy') });

/** −log p of the true class: torch.nn.functional.cross_entropy(weight, label_smoothing). */
export const crossEntropy = {
  name: 'cross-entropy',
  schema,
  compute: (batch, { labelSmoothing = 0 }) =>
    meanOverClasses(tf.neg<Tensor2D>(tf.logSoftmax(batch.logits)), batch, labelSmoothing),
} satisfies LossDefinition<z.infer<typeof schema>>;
