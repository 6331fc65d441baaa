// Attention over the slices of a volume: one factor for each slice, computed from the grey values of all slices.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { constant } from '../inits.ts';
import { conv2d, relu, sequential, type Layer } from '../layers.ts';
import type { Scope } from '../weights/parameters.ts';

/**
 * [N, H, W, depth] → [N, H, W, depth]: multiplies slice d of a volume by a_d, where
 *
 *     s = (mean of x₁, …, mean of x_D, mean of x₁², …, mean of x_D²)      means over the slice's pixels, 2·D numbers
 *     a = 2 · σ(fc2(ReLU(fc1(s))))                                        D factors between 0 and 2
 *
 * `fc1` has max(2, ⌊D / 8⌋) outputs. Both are 1×1 convolutions with bias, as in torchvision's `SqueezeExcitation`; the design is
 * that of squeeze and excitation (Hu et al., CVPR 2018) with the slices as channels, and the mean square beside the mean. The
 * number of parameters is about 3·D² / 8: 1608 for 64 slices. The weights and the bias of `fc2` start at 0, so that all factors
 * are 1 and a network computes at first exactly what it computes without the attention.
 */
export function sliceAttention(scope: Scope, depth: number): Layer {
  const inner = Math.max(2, Math.floor(depth / 8));
  const factors = sequential(
    conv2d(scope.at('fc1'), { in: 2 * depth, out: inner, kernel: 1, bias: true }),
    relu,
    conv2d(scope.at('fc2'), { in: inner, out: depth, kernel: 1, bias: true, init: zero, biasInit: zero }),
  );
  const mean = (x: Tensor4D) => tf.mean<Tensor4D>(x, [1, 2], true);
  return (x, mode) => {
    const described = tf.concat([mean(x), mean(tf.mul(x, x))], 3);
    return tf.mul(x, tf.mul(tf.sigmoid(factors(described, mode)), 2));
  };
}

const zero = constant(0);
