// The front: reduces a volume, whose slices are the channels, to the three channels that a pretrained backbone expects.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { conv2d, relu, sequential, type Layer } from '../layers.ts';
import type { Scope } from '../weights/parameters.ts';

/**
 * [N, H, W, slices of all views] → [N, H, W, 3]. One view: `encoder1`, a 3×3 convolution to three channels and a ReLU. Two views
 * (the slices of the first view come first): `encoder1` and `encoder2` of the same kind, one per view, whose six channels
 * `encoder3` reduces to three.
 */
export function front(scope: Scope, views: readonly number[]): Layer {
  const encoder = (name: string, depth: number) =>
    sequential(conv2d(scope.at(name), { in: depth, out: 3, kernel: 3, padding: 1, bias: true }), relu);
  const [first, second] = views;
  const encoder1 = encoder('encoder1', first!);
  if (second === undefined) return encoder1;
  const encoder2 = encoder('encoder2', second);
  const encoder3 = encoder('encoder3', 6);
  return (x, mode) => {
    const [one, two] = tf.split(x, [first!, second], 3) as [Tensor4D, Tensor4D];
    return encoder3(tf.concat([encoder1(one, mode), encoder2(two, mode)], 3), mode);
  };
}
