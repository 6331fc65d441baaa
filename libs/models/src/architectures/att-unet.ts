// Attention U-Net (Oktay et al., MIDL 2018) as it is commonly written in PyTorch: gates weight the skip connections.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { batchNorm, conv2d, maxPool, observed, relu, sequential, upsample, type Layer } from '../layers.ts';
import type { Segmenter } from '../network.ts';
import type { Scope } from '../weights/parameters.ts';

interface Channels {
  in: number;
  out: number;
}

/** 3×3 convolution, batch normalisation and ReLU; `first` is the convolution's index in PyTorch's Sequential. */
function unit(scope: Scope, first: number, channels: Channels) {
  return sequential(
    conv2d(scope.at(String(first)), { ...channels, kernel: 3, padding: 1, bias: true }),
    batchNorm(scope.at(String(first + 1)), channels.out),
    relu,
  );
}

const doubleConv = (scope: Scope, channels: Channels) =>
  sequential(unit(scope, 0, channels), unit(scope, 3, { in: channels.out, out: channels.out }));

/** Doubles the edge, then applies a unit. The upsampling has index 0 in PyTorch's Sequential, hence the unit starts at 1. */
const upConv = (scope: Scope, channels: Channels) => sequential(upsample, unit(scope.at('up'), 1, channels));

/** Additive attention: x · σ(psi(ReLU(W_g g + W_x x))), one weight per pixel. `inner` is the number of channels of the sum. */
function gate(scope: Scope, { channels, inner }: { channels: number; inner: number }) {
  const projected = (name: string, sizes: Channels) =>
    sequential(
      conv2d(scope.at(name).at('0'), { ...sizes, kernel: 1, bias: true }),
      batchNorm(scope.at(name).at('1'), sizes.out),
    );
  const projectGate = projected('W_g', { in: channels, out: inner });
  const projectSkip = projected('W_x', { in: channels, out: inner });
  const psi = projected('psi', { in: inner, out: 1 });
  return (g: Tensor4D, x: Tensor4D, mode: Parameters<Layer>[1]): Tensor4D => {
    const sum: Tensor4D = tf.add(projectGate(g, mode), projectSkip(x, mode));
    return tf.mul(x, tf.sigmoid(psi(tf.relu(sum), mode)));
  };
}

/** `widths`: channels of each level, from the full image size downwards; each level has half the edge of the one above. */
const segmenter = (widths: readonly number[], described: Pick<Segmenter, 'input'>): Segmenter => ({
  ...described,
  output: 'map',
  head: 'Conv_1x1',
  multiple: 2 ** (widths.length - 1),
  build(scope, { channels: image, classes }) {
    const down = widths.map((out, i) =>
      doubleConv(scope.at(`Conv${i + 1}`), { in: i === 0 ? image : widths[i - 1]!, out }),
    );
    const up = Array.from({ length: widths.length - 1 }, (_, k) => {
      const level = widths.length - 2 - k;
      const [below, channels] = [widths[level + 1]!, widths[level]!];
      const name = level + 2;
      return {
        level,
        enlarge: upConv(scope.at(`Up${name}`), { in: below, out: channels }),
        weigh: gate(scope.at(`Att${name}`), { channels, inner: channels / 2 }),
        merge: doubleConv(scope.at(`Up_conv${name}`), { in: 2 * channels, out: channels }),
      };
    });
    const head = sequential(
      observed('features'),
      conv2d(scope.at('Conv_1x1'), { in: widths[0]!, out: classes, kernel: 1, bias: true }),
    );
    const halve = maxPool({ size: 2, stride: 2 });
    return (image, mode) => {
      const levels: Tensor4D[] = [];
      for (const layer of down) {
        const above = levels.at(-1);
        levels.push(layer(above === undefined ? image : halve(above, mode), mode));
      }
      let x = levels.at(-1)!;
      for (const { level, enlarge, weigh, merge } of up) {
        const g = enlarge(x, mode);
        x = merge(tf.concat([weigh(g, levels[level]!, mode), g], 3), mode);
      }
      return head(x, mode);
    };
  },
});

export const attUNet = segmenter([64, 128, 256, 512, 1024], { input: { edge: 224, minimumEdge: 16 } });

/** For tests and trials: three narrow levels. */
export const attUNetSmall = segmenter([4, 8, 16], { input: { edge: 32, minimumEdge: 4 } });
