// Inception-ResNet-v2 (Szegedy et al., AAAI 2017) as timm builds it: each block adds its branches' scaled output to its input.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import {
  averageInside,
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
import { conv2d, globalAvgPool, linear, observed, sequential } from '../layers.ts';
import type { Classifier } from '../network.ts';

interface InceptionResNetSize {
  /** Maps a published number of channels to this variant's. */
  width: (channels: number) => number;
  /** Number of blocks at 1/8, 1/16 and 1/32 of the edge; one more block of the last kind follows. */
  repeats: readonly [block35: number, block17: number, block8: number];
}

const stem = [
  offCentre(convHalving('conv2d_1a', 32, 3)),
  convValid('conv2d_2a', 32, 3),
  conv('conv2d_2b', 64, 3),
  maxPoolHalving,
  conv('conv2d_3b', 80, 1),
  convValid('conv2d_4a', 192, 3),
  maxPoolHalving,
];

const mixed5b = inParallel(
  [conv('branch0', 96, 1)],
  [conv('branch1.0', 48, 1), conv('branch1.1', 64, 5)],
  [conv('branch2.0', 64, 1), conv('branch2.1', 96, 3), conv('branch2.2', 96, 3)],
  [averageInside, conv('branch3.1', 64, 1)],
);

const mixed6a = inParallel(
  [convHalving('branch0', 384, 3)],
  [conv('branch1.0', 256, 1), conv('branch1.1', 256, 3), convHalving('branch1.2', 384, 3)],
  [maxPoolHalving],
);

const mixed7a = inParallel(
  [conv('branch0.0', 256, 1), convHalving('branch0.1', 384, 3)],
  [conv('branch1.0', 256, 1), convHalving('branch1.1', 288, 3)],
  [conv('branch2.0', 256, 1), conv('branch2.1', 288, 3), convHalving('branch2.2', 320, 3)],
  [maxPoolHalving],
);

interface Residual {
  /** Factor of the branches' output before it is added to the input. */
  scale: number;
  /** Whether a ReLU follows the sum; default true. */
  relu?: boolean;
}

/** x + scale · conv2d(branches(x)), where conv2d is a 1×1 convolution to x's number of channels. */
const residual =
  (branches: Step, { scale, relu = true }: Residual): Step =>
  (place) => {
    const { scope, channels } = place;
    const inner = branches(place);
    const project = conv2d(scope.at('conv2d'), { in: inner.channels, out: channels, kernel: 1, bias: true });
    const layer = (x: Tensor4D, mode: Parameters<typeof project>[1]) => {
      const y: Tensor4D = tf.add(tf.mul(project(inner.layer(x, mode), mode), scale), x);
      return relu ? tf.relu(y) : y;
    };
    return { layer, channels };
  };

const branches35 = inParallel(
  [conv('branch0', 32, 1)],
  [conv('branch1.0', 32, 1), conv('branch1.1', 32, 3)],
  [conv('branch2.0', 32, 1), conv('branch2.1', 48, 3), conv('branch2.2', 64, 3)],
);

const branches17 = inParallel(
  [conv('branch0', 192, 1)],
  [conv('branch1.0', 128, 1), conv('branch1.1', 160, [1, 7]), conv('branch1.2', 192, [7, 1])],
);

const branches8 = inParallel(
  [conv('branch0', 192, 1)],
  [conv('branch1.0', 192, 1), conv('branch1.1', 224, [1, 3]), conv('branch1.2', 256, [3, 1])],
);

const repeated = (name: string, block: Step, count: number) =>
  Array.from({ length: count }, (_, i) => named(`${name}.${i}`, block));

const trunkOf = ({ repeats: [block35, block17, block8] }: InceptionResNetSize) =>
  inSequence(
    ...stem,
    named('mixed_5b', mixed5b),
    ...repeated('repeat', residual(branches35, { scale: 0.17 }), block35),
    named('mixed_6a', mixed6a),
    ...repeated('repeat_1', residual(branches17, { scale: 0.1 }), block17),
    named('mixed_7a', mixed7a),
    ...repeated('repeat_2', residual(branches8, { scale: 0.2 }), block8),
    named('block8', residual(branches8, { scale: 1, relu: false })),
    conv('conv2d_7b', 1536, 1),
  );

const classifier = (
  size: InceptionResNetSize,
  described: Pick<Classifier, 'input' | 'pretrained'>,
): Classifier => ({
  ...described,
  output: 'classes',
  head: 'classif',
  features: size.width(1536),
  build(scope, { channels, classes }) {
    const trunk = trunkOf(size)({ scope, channels, width: size.width });
    const features = sequential(trunk.layer, observed('features'));
    const head = linear(scope.at('classif'), { in: trunk.channels, out: classes });
    return (x, mode) => head(globalAvgPool(features(x, mode), mode), mode);
  },
});

export const inceptionResNetV2 = classifier(
  { width: (channels) => channels, repeats: [10, 20, 9] },
  {
    input: { edge: 299, minimumEdge: 75 },
    pretrained: {
      repository: 'timm/inception_resnet_v2.tf_in1k',
      licence: 'Apache-2.0',
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
    },
  },
);

/** For tests: one sixteenth of the channels, one block per stage. */
export const inceptionResNetV2Small = classifier(
  { width: (channels) => channels / 16, repeats: [1, 1, 1] },
  { input: { edge: 75, minimumEdge: 75 } },
);
