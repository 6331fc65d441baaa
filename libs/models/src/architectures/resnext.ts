// ResNeXt (Xie et al., CVPR 2017) as torchvision builds it: residual blocks whose 3×3 convolution is grouped.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { kaimingNormalFanOut } from '../inits.ts';
import {
  batchNorm,
  conv2d,
  globalAvgPool,
  linear,
  maxPool,
  observed,
  relu,
  sequential,
  type Conv2dOptions,
  type Layer,
} from '../layers.ts';
import { type Classifier, imageNet } from '../network.ts';
import type { Scope } from '../weights/parameters.ts';

interface ResNeXtSize {
  /** Channels before the first stage; stage i = 0, 1, … has 4 · 2ⁱ times as many output channels. */
  initial: number;
  /** Number of blocks of each stage; every stage but the first halves the edge. */
  stages: readonly number[];
  /** Groups of the 3×3 convolutions. */
  groups: number;
  /** Channels per group in the first stage; each further stage has twice as many. */
  groupWidth: number;
}

interface BlockOptions {
  in: number;
  /** Channels of the grouped convolution. */
  inner: number;
  out: number;
  groups: number;
  stride: number;
}

/** A 1×1, a grouped 3×3 and a 1×1 convolution, whose output is added to x, or to a projection of x if the shapes differ. */
function bottleneck(scope: Scope, options: BlockOptions): Layer {
  const { inner, out, groups, stride } = options;
  const normalised = (i: number, sizes: Conv2dOptions) =>
    sequential(convolution(scope.at(`conv${i}`), sizes), batchNorm(scope.at(`bn${i}`), sizes.out));
  const branch = sequential(
    normalised(1, { in: options.in, out: inner, kernel: 1 }),
    relu,
    normalised(2, { in: inner, out: inner, kernel: 3, padding: 1, stride, groups }),
    relu,
    normalised(3, { in: inner, out, kernel: 1 }),
  );
  const downsample = scope.at('downsample');
  const shortcut: Layer =
    stride === 1 && options.in === out
      ? (x) => x
      : sequential(
          convolution(downsample.at('0'), { in: options.in, out, kernel: 1, stride }),
          batchNorm(downsample.at('1'), out),
        );
  return (x, mode) => tf.relu(tf.add<Tensor4D>(branch(x, mode), shortcut(x, mode)));
}

const convolution = (scope: Scope, options: Conv2dOptions) =>
  conv2d(scope, { ...options, init: kaimingNormalFanOut });

const classifier = (size: ResNeXtSize, described: Pick<Classifier, 'input' | 'pretrained'>): Classifier => ({
  ...described,
  output: 'classes',
  head: 'fc',
  features: 4 * size.initial * 2 ** (size.stages.length - 1),
  build(scope, { channels: image, classes }) {
    const { initial, stages, groups, groupWidth } = size;
    const layers = [
      convolution(scope.at('conv1'), { in: image, out: initial, kernel: 7, stride: 2, padding: 3 }),
      batchNorm(scope.at('bn1'), initial, { offCentre: true }),
      relu,
      maxPool({ size: 3, stride: 2, padding: 1 }),
    ];
    let channels = initial;
    stages.forEach((blocks, stage) => {
      const inner = groups * groupWidth * 2 ** stage;
      const out = 4 * initial * 2 ** stage;
      for (let block = 0; block < blocks; block++) {
        const stride = stage > 0 && block === 0 ? 2 : 1;
        const at = scope.at(`layer${stage + 1}`).at(String(block));
        layers.push(bottleneck(at, { in: channels, inner, out, groups, stride }));
        channels = out;
      }
    });
    const trunk = sequential(...layers, observed('features'));
    const head = linear(scope.at('fc'), { in: channels, out: classes });
    return (x, mode) => head(globalAvgPool(trunk(x, mode), mode), mode);
  },
});

export const resnext50 = classifier(
  { initial: 64, stages: [3, 4, 6, 3], groups: 32, groupWidth: 4 },
  {
    input: { edge: 224, minimumEdge: 17 },
    pretrained: { repository: 'timm/resnext50_32x4d.tv_in1k', licence: 'BSD-3-Clause', ...imageNet },
  },
);

/** For tests and trials: two narrow stages. */
export const resnextSmall = classifier(
  { initial: 8, stages: [1, 2], groups: 4, groupWidth: 2 },
  { input: { edge: 32, minimumEdge: 17 } },
);
