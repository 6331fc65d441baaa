// What turns a volume, its slices as channels, into the three channels that a pretrained backbone expects.
import { conv2d, relu, sequential, type Layer } from './layers.ts';
import type { Scope } from './parameters.ts';

/** `encoder1`: [N, H, W, depth] → [N, H, W, 3], a 3×3 convolution and a ReLU. */
export function front(scope: Scope, depth: number): Layer {
  return sequential(
    conv2d(scope.at('encoder1'), { in: depth, out: 3, kernel: 3, padding: 1, bias: true }),
    relu,
  );
}
