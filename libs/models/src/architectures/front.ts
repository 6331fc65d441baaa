// The fronts: reduce a volume, whose slices are the channels, to the three channels that a pretrained backbone expects.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { conv2d, observed, relu, sequential, type Layer } from '../layers.ts';
import type { Front } from '../network.ts';
import { sliceAttention } from './slice-attention.ts';
import type { Scope } from '../weights/parameters.ts';

/**
 * [N, H, W, slices of all views] → [N, H, W, 3]. One view: `encoder1`, a 3×3 convolution to three channels and a ReLU. Two views
 * (the slices of the first view come first): `encoder1` and `encoder2` of the same kind, one per view, whose six channels
 * `encoder3` reduces to three.
 */
export const convFront: Front = (scope, views) => front(scope, views, []);

/** The same; before each view's convolution, `attention1` and `attention2` weigh the view's slices, see `sliceAttention`. */
export const attentionFront: Front = (scope, views) => {
  const weighed = views.map((depth, i) => sliceAttention(scope.at(`attention${i + 1}`), depth));
  return front(scope, views, weighed);
};

/** `before`: what is done to the slices of each view first; nothing where it is left out. */
function front(scope: Scope, views: readonly number[], before: readonly Layer[]): Layer {
  const encoder = (name: string, depth: number) =>
    sequential(conv2d(scope.at(name), { in: depth, out: 3, kernel: 3, padding: 1, bias: true }), relu);
  const [first, second] = views;
  const ofView = (number: 1 | 2, depth: number) =>
    sequential(
      ...before.slice(number - 1, number),
      observed(`slices${number}`),
      encoder(`encoder${number}`, depth),
      observed(`encoder${number}`),
    );
  const encoder1 = ofView(1, first!);
  if (second === undefined) return encoder1;
  const encoder2 = ofView(2, second);
  const encoder3 = encoder('encoder3', 6);
  return (x, mode) => {
    const [one, two] = tf.split(x, [first!, second], 3) as [Tensor4D, Tensor4D];
    return encoder3(tf.concat([encoder1(one, mode), encoder2(two, mode)], 3), mode);
  };
}
