// Losses: focal (Lin et al. 2017, "Focal loss for dense object detection"), as the authors' code has it, and binary cross entropy.
import tf, { type Scalar, type Tensor, type Tensor2D } from '@tensorflow/tfjs';

/**
 * The batch mean of (1 − p)^γ · CE, where CE is the softmax cross entropy and p = e^−CE; the gradient flows through p.
 *
 * @param logits [batch, classes]
 * @param truth [batch, classes], one-hot
 */
export function focalLoss(logits: Tensor2D, truth: Tensor2D, gamma: number): Scalar {
  const crossEntropy = tf.neg(tf.sum(tf.mul(truth, tf.logSoftmax(logits)), 1));
  const p = tf.exp(tf.neg(crossEntropy));
  return tf.mean(tf.mul(tf.pow(tf.sub(1, p), gamma), crossEntropy));
}

/**
 * Binary cross entropy, the mean over all elements, as torch.nn.functional.binary_cross_entropy_with_logits: finite for any finite logit.
 *
 * @param logits of any shape
 * @param truth of the same shape, 0 … 1
 */
export function binaryCrossEntropy(logits: Tensor, truth: Tensor): Scalar {
  return tf.mean(tf.sub(tf.softplus(logits), tf.mul(logits, truth)));
}
