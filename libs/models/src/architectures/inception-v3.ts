// Inception-v3 (Szegedy et al., CVPR 2016) as torchvision builds it, with `transform_input`, without the auxiliary head.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import {
  averagePadded,
  conv,
  convHalving,
  convValid,
  inParallel,
  inSequence,
  maxPoolHalving,
  named,
  offCentre,
  type Step,
} from './inception.ts';
import { normal } from '../inits.ts';
import { dropout, globalAvgPool, linear, observed, sequential } from '../layers.ts';
import { type Classifier, imageNet } from '../network.ts';

interface Inception3Size {
  /** Maps a published number of channels to this variant's. */
  width: (channels: number) => number;
  /** For each InceptionA block (1/8 of the edge) the channels of its pooling branch. */
  a: readonly number[];
  /** For each InceptionC block (1/16 of the edge) the inner channels of its 7×7 branches. */
  c: readonly number[];
  /** Number of InceptionE blocks (1/32 of the edge). */
  e: number;
}

const stem = [
  offCentre(convHalving('Conv2d_1a_3x3', 32, 3)),
  convValid('Conv2d_2a_3x3', 32, 3),
  conv('Conv2d_2b_3x3', 64, 3),
  maxPoolHalving,
  convValid('Conv2d_3b_1x1', 80, 1),
  convValid('Conv2d_4a_3x3', 192, 3),
  maxPoolHalving,
];

const inceptionA = (pool: number) =>
  inParallel(
    [conv('branch1x1', 64, 1)],
    [conv('branch5x5_1', 48, 1), conv('branch5x5_2', 64, 5)],
    [conv('branch3x3dbl_1', 64, 1), conv('branch3x3dbl_2', 96, 3), conv('branch3x3dbl_3', 96, 3)],
    [averagePadded, conv('branch_pool', pool, 1)],
  );

const inceptionB = inParallel(
  [convHalving('branch3x3', 384, 3)],
  [conv('branch3x3dbl_1', 64, 1), conv('branch3x3dbl_2', 96, 3), convHalving('branch3x3dbl_3', 96, 3)],
  [maxPoolHalving],
);

const inceptionC = (c7: number) =>
  inParallel(
    [conv('branch1x1', 192, 1)],
    [conv('branch7x7_1', c7, 1), conv('branch7x7_2', c7, [1, 7]), conv('branch7x7_3', 192, [7, 1])],
    [
      conv('branch7x7dbl_1', c7, 1),
      conv('branch7x7dbl_2', c7, [7, 1]),
      conv('branch7x7dbl_3', c7, [1, 7]),
      conv('branch7x7dbl_4', c7, [7, 1]),
      conv('branch7x7dbl_5', 192, [1, 7]),
    ],
    [averagePadded, conv('branch_pool', 192, 1)],
  );

const inceptionD = inParallel(
  [conv('branch3x3_1', 192, 1), convHalving('branch3x3_2', 320, 3)],
  [
    conv('branch7x7x3_1', 192, 1),
    conv('branch7x7x3_2', 192, [1, 7]),
    conv('branch7x7x3_3', 192, [7, 1]),
    convHalving('branch7x7x3_4', 192, 3),
  ],
  [maxPoolHalving],
);

const inceptionE = inParallel(
  [conv('branch1x1', 320, 1)],
  [
    conv('branch3x3_1', 384, 1),
    inParallel([conv('branch3x3_2a', 384, [1, 3])], [conv('branch3x3_2b', 384, [3, 1])]),
  ],
  [
    conv('branch3x3dbl_1', 448, 1),
    conv('branch3x3dbl_2', 384, 3),
    inParallel([conv('branch3x3dbl_3a', 384, [1, 3])], [conv('branch3x3dbl_3b', 384, [3, 1])]),
  ],
  [averagePadded, conv('branch_pool', 192, 1)],
);

/** Names the blocks of a stage as torchvision does: Mixed_5b, Mixed_5c, …; `first` is the first letter. */
const stage = (number: number, first: string, blocks: readonly Step[]) =>
  blocks.map((block, i) => named(`Mixed_${number}${String.fromCharCode(first.charCodeAt(0) + i)}`, block));

const trunkOf = ({ a, c, e }: Inception3Size) =>
  inSequence(
    ...stem,
    ...stage(5, 'b', a.map(inceptionA)),
    ...stage(6, 'a', [inceptionB, ...c.map(inceptionC)]),
    ...stage(7, 'a', [inceptionD, ...Array<Step>(e).fill(inceptionE)]),
  );

/** torchvision's `transform_input`: from normalisation by ImageNet's mean and deviation to normalisation by 0.5 and 0.5. */
function transformInput(x: Tensor4D): Tensor4D {
  const factor = imageNet.std.map((std) => std / 0.5);
  const offset = imageNet.mean.map((mean) => (mean - 0.5) / 0.5);
  return tf.add(tf.mul(x, tf.tensor1d(factor)), tf.tensor1d(offset));
}

const classifier = (
  size: Inception3Size,
  described: Pick<Classifier, 'input' | 'pretrained'>,
): Classifier => ({
  ...described,
  output: 'classes',
  head: 'fc',
  features: size.width(320) + 4 * size.width(384) + size.width(192),
  build(scope, { channels, classes }) {
    const { width } = size;
    const init = normal(0.1); // torchvision truncates it at ±2, which is twenty standard deviations
    const trunk = trunkOf(size)({ scope, channels, width, init });
    const features = sequential(trunk.layer, observed('features'));
    const head = linear(scope.at('fc'), { in: trunk.channels, out: classes, init });
    const drop = dropout<ReturnType<typeof globalAvgPool>>({ rate: 0.5, layer: 0 });
    return (x, mode) => {
      const image = channels === 3 ? transformInput(x) : x; // the transformation is defined for three colours only
      return head(drop(globalAvgPool(features(image, mode), mode), mode), mode);
    };
  },
});

export const inceptionV3 = classifier(
  { width: (channels) => channels, a: [32, 64, 64], c: [128, 160, 160, 192], e: 2 },
  {
    input: { edge: 299, minimumEdge: 75 },
    pretrained: {
      repository: 'timm/inception_v3.tv_in1k',
      licence: 'Apache-2.0',
      ...imageNet,
      skipped: ['AuxLogits.'],
    },
  },
);

/** For tests: one sixteenth of the channels, one block per stage. */
export const inceptionV3Small = classifier(
  { width: (channels) => channels / 16, a: [32], c: [128], e: 1 },
  { input: { edge: 75, minimumEdge: 75 } },
);
