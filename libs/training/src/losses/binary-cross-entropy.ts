// The binary cross entropy of the two slice networks.
import tf, { type Scalar, type Tensor } from '@tensorflow/tfjs';

/**
 * Binary cross entropy, the mean over all elements, as torch.nn.functional.binary_cross_entropy_with_logits: finite for any finite logit.
 *
 * @param logits of any shape
 * @param truth of the same shape, 0 … 1
 */
export function binaryCrossEntropy(logits: Tensor, truth: Tensor): Scalar {
  return tf.mean(tf.sub(tf.softplus(logits), tf.mul(logits, truth)));
}
