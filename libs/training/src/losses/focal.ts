// The focal loss (Lin et al. 2017, "Focal loss for dense object detection").
import { fields } from '@ct-ensemble/core';
import tf, { type Scalar, type Tensor2D } from '@tensorflow/tfjs';
import { z } from 'zod';
import { crossEntropy } from './cross-entropy.ts';
import { type LossBatch, type LossDefinition, lossFields, meanOverClasses } from './loss.ts';

const schema = lossFields({
  name: z.literal('focal'),
  gamma: fields.from0.describe('Focusing exponent γ; 0 is plain cross entropy.'),
});

/**
 * (1 − p)^γ · (−log p) of the true class; the gradient flows through both factors. With label smoothing, class weights or mixed
 * truth it is the sum over the classes of t_c · w_c · (1 − p_c)^γ · (−log p_c), which for γ 0 is the cross entropy with them.
 */
export const focal = {
  name: 'focal',
  schema,
  compute(batch, options) {
    const { gamma, labelSmoothing = 0 } = options;
    if (gamma === 0) return crossEntropy.compute(batch, { ...options, name: 'cross-entropy' });
    if (gamma >= 1 && labelSmoothing === 0 && batch.weights === undefined && !batch.isMixed)
      return focalOfOneHot(batch, gamma);
    return meanOverClasses(focalTerms(batch.logits, gamma), batch, labelSmoothing);
  },
} satisfies LossDefinition<z.infer<typeof schema>>;

/** As the authors' code has it: with CE the cross entropy, p is e^−CE. For γ below 1 its gradient is infinite at p = 1. */
function focalOfOneHot({ logits, truth }: LossBatch, gamma: number): Scalar {
  const crossEntropy = tf.neg(tf.sum(tf.mul(truth, tf.logSoftmax(logits)), 1));
  const p = tf.exp(tf.neg(crossEntropy));
  return tf.mean(tf.mul(tf.pow(tf.sub(1, p), gamma), crossEntropy));
}

/**
 * (1 − p_c)^γ · (−log p_c) for every class: [batch, classes]. 1 − p_c is the sum of the other classes' probabilities, taken as
 * a logarithm, so that nothing is lost near p_c = 1 and every gradient is finite.
 */
function focalTerms(logits: Tensor2D, gamma: number): Tensor2D {
  const classes = logits.shape[1];
  const isOwn = tf.expandDims(tf.eye(classes), 0);
  const others = tf.sub(tf.expandDims(logits, 1), tf.mul(isOwn, 1e9)); // [batch, class, the others' logits]
  const logRest = tf.sub(tf.logSumExp(others, 2), tf.logSumExp(logits, 1, true));
  return tf.mul(tf.exp(tf.mul(logRest, gamma)), tf.neg(tf.logSoftmax(logits)));
}
