// Inception-v4 (Szegedy et al., AAAI 2017) as timm builds it.
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
import { globalAvgPool, linear, observed, sequential } from '../layers.ts';
import type { Classifier } from '../network.ts';

interface Inception4Size {
  /** Maps a published number of channels to this variant's. */
  width: (channels: number) => number;
  /** Number of InceptionA, InceptionB and InceptionC blocks: 1/8, 1/16 and 1/32 of the edge. */
  a: number;
  b: number;
  c: number;
}

const mixed3a = inParallel([maxPoolHalving], [convHalving('conv', 96, 3)]);

const mixed4a = inParallel(
  [conv('branch0.0', 64, 1), convValid('branch0.1', 96, 3)],
  [
    conv('branch1.0', 64, 1),
    conv('branch1.1', 64, [1, 7]),
    conv('branch1.2', 64, [7, 1]),
    convValid('branch1.3', 96, 3),
  ],
);

const mixed5a = inParallel([convHalving('conv', 192, 3)], [maxPoolHalving]);

const inceptionA = inParallel(
  [conv('branch0', 96, 1)],
  [conv('branch1.0', 64, 1), conv('branch1.1', 96, 3)],
  [conv('branch2.0', 64, 1), conv('branch2.1', 96, 3), conv('branch2.2', 96, 3)],
  [averageInside, conv('branch3.1', 96, 1)],
);

const reductionA = inParallel(
  [convHalving('branch0', 384, 3)],
  [conv('branch1.0', 192, 1), conv('branch1.1', 224, 3), convHalving('branch1.2', 256, 3)],
  [maxPoolHalving],
);

const inceptionB = inParallel(
  [conv('branch0', 384, 1)],
  [conv('branch1.0', 192, 1), conv('branch1.1', 224, [1, 7]), conv('branch1.2', 256, [7, 1])],
  [
    conv('branch2.0', 192, 1),
    conv('branch2.1', 192, [7, 1]),
    conv('branch2.2', 224, [1, 7]),
    conv('branch2.3', 224, [7, 1]),
    conv('branch2.4', 256, [1, 7]),
  ],
  [averageInside, conv('branch3.1', 128, 1)],
);

const reductionB = inParallel(
  [conv('branch0.0', 192, 1), convHalving('branch0.1', 192, 3)],
  [
    conv('branch1.0', 256, 1),
    conv('branch1.1', 256, [1, 7]),
    conv('branch1.2', 320, [7, 1]),
    convHalving('branch1.3', 320, 3),
  ],
  [maxPoolHalving],
);

const inceptionC = inParallel(
  [conv('branch0', 256, 1)],
  [
    conv('branch1_0', 384, 1),
    inParallel([conv('branch1_1a', 256, [1, 3])], [conv('branch1_1b', 256, [3, 1])]),
  ],
  [
    conv('branch2_0', 384, 1),
    conv('branch2_1', 448, [3, 1]),
    conv('branch2_2', 512, [1, 3]),
    inParallel([conv('branch2_3a', 256, [1, 3])], [conv('branch2_3b', 256, [3, 1])]),
  ],
  [averageInside, conv('branch3.1', 256, 1)],
);

const repeated = (block: Step, count: number) => Array<Step>(count).fill(block);

/** Stem and blocks, named `features.0`, `features.1`, … in order. */
function trunkOf({ a, b, c }: Inception4Size): Step {
  const stem = [...[convHalving('0', 32, 3), convValid('1', 32, 3)].map(offCentre), conv('2', 64, 3)];
  const blocks = [
    ...[mixed3a, mixed4a, mixed5a],
    ...[...repeated(inceptionA, a), reductionA],
    ...[...repeated(inceptionB, b), reductionB],
    ...repeated(inceptionC, c),
  ];
  return named(
    'features',
    inSequence(...stem, ...blocks.map((block, i) => named(String(stem.length + i), block))),
  );
}

const classifier = (
  size: Inception4Size,
  described: Pick<Classifier, 'input' | 'pretrained'>,
): Classifier => ({
  ...described,
  output: 'classes',
  head: 'last_linear',
  features: 6 * size.width(256),
  build(scope, { channels, classes }) {
    const trunk = trunkOf(size)({ scope, channels, width: size.width });
    const features = sequential(trunk.layer, observed('features'));
    const head = linear(scope.at('last_linear'), { in: trunk.channels, out: classes });
    return (x, mode) => head(globalAvgPool(features(x, mode), mode), mode);
  },
});

export const inceptionV4 = classifier(
  { width: (channels) => channels, a: 4, b: 7, c: 3 },
  {
    input: { edge: 299, minimumEdge: 75 },
    pretrained: {
      repository: 'timm/inception_v4.tf_in1k',
      licence: 'Apache-2.0',
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
    },
  },
);

/** For tests: one sixteenth of the channels, one block per stage. */
export const inceptionV4Small = classifier(
  { width: (channels) => channels / 16, a: 1, b: 1, c: 1 },
  { input: { edge: 75, minimumEdge: 75 } },
);
