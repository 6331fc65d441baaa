// DenseNet (Huang et al., CVPR 2017) as torchvision builds it: each layer of a block receives the outputs of all earlier layers.
import { recompute } from '@ct-ensemble/engine';
import tf, { type Tensor, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import { constant, kaimingNormal } from '../inits.ts';
import {
  avgPool,
  batchNorm,
  conv2d,
  globalAvgPool,
  linear,
  maxPool,
  observed,
  relu,
  sequential,
  type Layer,
} from '../layers.ts';
import { type Classifier, imageNet, type NetworkOptions } from '../network.ts';
import type { Scope } from '../weights/parameters.ts';

interface DenseNetSize {
  /** Number of channels that each layer adds. */
  growth: number;
  /** Number of layers of each dense block; there is a transition between two blocks. */
  blocks: readonly number[];
  /** Channels before the first block. */
  initial: number;
  /** The 1×1 convolution of a layer has `bottleneck · growth` output channels. */
  bottleneck: number;
}

interface Channels {
  in: number;
  out: number;
}

/** One layer of a dense block: computes `growth` new channels from the concatenation of all earlier ones. */
function denseLayer(scope: Scope, channels: number, { growth, bottleneck }: DenseNetSize): Layer<Tensor4D[]> {
  const squeezed = bottleneck * growth;
  const [norm1, conv1] = [scope.at('norm1'), scope.at('conv1')];
  const squeeze = sequential(
    batchNorm(norm1, channels),
    relu,
    conv2d(conv1, { in: channels, out: squeezed, kernel: 1, init: kaimingNormal }),
  );
  const grow = sequential(
    batchNorm(scope.at('norm2'), squeezed),
    relu,
    conv2d(scope.at('conv2'), { in: squeezed, out: growth, kernel: 3, padding: 1, init: kaimingNormal }),
  );
  const variables = [...norm1.trainable(), ...conv1.trainable()];
  return (xs, mode) => {
    const f = (...parts: Tensor[]) => squeeze(joined(parts as Tensor4D[]), mode);
    return grow(mode.recompute ? recompute(f, xs, variables) : f(...xs), mode);
  };
}

/** A block of layers, each of which receives the block's input and the outputs of all earlier layers. */
function denseBlock(layers: readonly Layer<Tensor4D[]>[]): Layer {
  return (x, mode) => {
    if (mode.recompute) {
      const parts = [x];
      for (const layer of layers) parts.push(layer(parts, mode));
      return joined(parts);
    }
    return layers.reduce((all, layer) => joined([all, layer([all], mode)]), x);
  };
}

const joined = (parts: Tensor4D[]): Tensor4D => (parts.length === 1 ? parts[0]! : tf.concat(parts, 3));

/** The layers between two blocks: fewer channels, half the edge. */
function transition(scope: Scope, channels: Channels): Layer {
  return sequential(
    batchNorm(scope.at('norm'), channels.in),
    relu,
    conv2d(scope.at('conv'), { ...channels, kernel: 1, init: kaimingNormal }),
    avgPool({ size: 2, stride: 2 }),
  );
}

/** [N, H, W, channels] → logits [N, classes]. With four blocks the last feature maps have 1/32 of the image's edge. */
function denseNet(
  scope: Scope,
  size: DenseNetSize,
  { channels: image, classes }: NetworkOptions,
): Layer<Tensor4D, Tensor2D> {
  const features = scope.at('features');
  const layers: Layer[] = [
    conv2d(features.at('conv0'), {
      in: image,
      out: size.initial,
      kernel: 7,
      stride: 2,
      padding: 3,
      init: kaimingNormal,
    }),
    batchNorm(features.at('norm0'), size.initial, { offCentre: true }),
    relu,
    maxPool({ size: 3, stride: 2, padding: 1 }),
  ];
  let channels = size.initial;
  size.blocks.forEach((count, i) => {
    if (i > 0) {
      const half = channels >> 1;
      layers.push(transition(features.at(`transition${i}`), { in: channels, out: half }));
      channels = half;
    }
    const block = features.at(`denseblock${i + 1}`);
    const inside = Array.from({ length: count }, (_, k) =>
      denseLayer(block.at(`denselayer${k + 1}`), channels + k * size.growth, size),
    );
    layers.push(denseBlock(inside));
    channels += count * size.growth;
  });
  layers.push(batchNorm(features.at('norm5'), channels), relu, observed('features'));
  const trunk = sequential(...layers);
  const classifier = linear(scope.at('classifier'), { in: channels, out: classes, biasInit: constant(0) });
  return (x, mode) => classifier(globalAvgPool(trunk(x, mode), mode), mode);
}

/** Number of channels after the last block. */
const featuresOf = ({ initial, growth, blocks }: DenseNetSize) =>
  blocks.reduce((channels, count, i) => (i > 0 ? channels >> 1 : channels) + count * growth, initial);

const classifier = (size: DenseNetSize, described: Pick<Classifier, 'input' | 'pretrained'>): Classifier => ({
  ...described,
  output: 'classes',
  head: 'classifier',
  features: featuresOf(size),
  build: (scope, options) => denseNet(scope, size, options),
});

export const densenet161 = classifier(
  { growth: 48, blocks: [6, 12, 36, 24], initial: 96, bottleneck: 4 },
  {
    input: { edge: 224, minimumEdge: 29 },
    pretrained: { repository: 'timm/densenet161.tv_in1k', licence: 'Apache-2.0', ...imageNet },
  },
);

/** For tests and trials with volumes of a few pixels: a training step takes milliseconds. */
export const densenetSmall = classifier(
  { growth: 8, blocks: [2, 2, 2], initial: 8, bottleneck: 2 },
  { input: { edge: 64, minimumEdge: 13 } },
);
