// Losses as plain functions of logits and truth, for programs that do not train by a recipe.
import type { Scalar, Tensor2D } from '@tensorflow/tfjs';
import { focal } from './losses/focal.ts';

/**
 * The focal loss (Lin et al. 2017), the mean over the batch; finite gradients for every γ ≥ 0.
 *
 * @param logits [batch, classes]
 * @param truth [batch, classes], one-hot
 * @param gamma focusing exponent γ; 0 is plain cross entropy
 */
export function focalLoss(logits: Tensor2D, truth: Tensor2D, gamma: number): Scalar {
  return focal.compute({ logits, truth }, { name: 'focal', gamma });
}
