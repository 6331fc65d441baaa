// The registry: all architectures by name, and the models built from them (optional front, backbone, head).
import { UserError } from '@ct-ensemble/core';
import tf, { type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import { attUNet, attUNetSmall } from './architectures/att-unet.ts';
import { densenet161, densenetSmall } from './architectures/densenet.ts';
import { attentionFront, convFront } from './architectures/front.ts';
import { inceptionResNetV2, inceptionResNetV2Small } from './architectures/inception-resnet-v2.ts';
import { inceptionV3, inceptionV3Small } from './architectures/inception-v3.ts';
import { inceptionV4, inceptionV4Small } from './architectures/inception-v4.ts';
import type { Mode } from './layers.ts';
import type { Architecture, Classifier, Front } from './network.ts';
import { createParameters, type Parameters } from './weights/parameters.ts';
import { resnext50, resnextSmall } from './architectures/resnext.ts';

/** The same network behind another front; its published weights are those of the backbone. */
const behind = (front: Front, network: Classifier): Classifier => ({ ...network, front });

/** Every network by its name. Tests compare each network whose name ends in `_small` on two engines. */
export const architectures: Readonly<Record<string, Architecture>> = {
  densenet161,
  densenet_small: densenetSmall,
  densenet161_attention: behind(attentionFront, densenet161),
  densenet_attention_small: behind(attentionFront, densenetSmall),
  inception_v3: inceptionV3,
  inception_v3_small: inceptionV3Small,
  inception_v3_attention: behind(attentionFront, inceptionV3),
  inception_v4: inceptionV4,
  inception_v4_small: inceptionV4Small,
  inception_v4_attention: behind(attentionFront, inceptionV4),
  inception_resnet_v2: inceptionResNetV2,
  inception_resnet_v2_small: inceptionResNetV2Small,
  inception_resnet_v2_attention: behind(attentionFront, inceptionResNetV2),
  resnext50_32x4d: resnext50,
  resnext_small: resnextSmall,
  resnext50_attention: behind(attentionFront, resnext50),
  att_unet: attUNet,
  att_unet_small: attUNetSmall,
};

/** The names of all networks, in the order of the registry. */
export function architectureNames(): string[] {
  return Object.keys(architectures);
}

/** The names of the networks that classify images, which are those that a recipe's members can use. */
export function classifierNames(): string[] {
  return architectureNames().filter((name) => architectures[name]!.output === 'classes');
}

/** The architecture of this name. @throws {UserError} for an unknown name. */
export function architectureOf(name: string): Architecture {
  if (Object.hasOwn(architectures, name)) return architectures[name]!;
  throw new UserError(`unknown architecture ${JSON.stringify(name)}`, {
    remedy: `choose one of ${architectureNames().join(', ')}`,
  });
}

export interface ModelOptions {
  /** Number of slices of each view: [64] is one view, [32, 16] are two views, [] is an image without a front. */
  views: readonly number[];
  /** Channels of the image if there is no front; default 3. */
  channels?: number;
  classes: number;
  /** Seed of the initial values, 0 … 2³²−1. Without a seed all parameters are 0, to be set from a file of weights. */
  seed?: number;
}

/** A network with its parameters, on the tfjs backend that was current when it was built. */
export interface Model<Y extends Tensor2D | Tensor4D = Tensor2D> {
  readonly architecture: string;
  readonly options: ModelOptions;
  /**
   * Computes logits: [batch, classes], for a segmenter [batch, height, width, classes]. `x` is float32 in [0, 1] of shape
   * [batch, height, width, depth]; depth is the number of slices of all views together, or the channels of the image.
   * @throws {UserError} if `x` has another depth than the model was built for, or is too small.
   */
  forward(x: Tensor4D, mode: Mode): Y;
  readonly parameters: Parameters;
  dispose(): void;
}

/**
 * Builds a classifier on tfjs's current backend. With views, the parameters' names start with `encoder1.` … (the front) and
 * `model.` (the backbone); without views, they are the backbone's own names.
 * @throws {UserError} for an unknown architecture, or one that does not classify images.
 */
export function buildModel(architecture: string, options: ModelOptions): Model {
  if (architectureOf(architecture).output === 'classes') return buildNetwork(architecture, options) as Model;
  throw new UserError(`${architecture} classifies pixels, not images`, {
    remedy: `choose one of ${classifierNames().join(', ')}`,
  });
}

/** Channels of a model's input: the slices of all views together, or the channels of the image. */
export function inputChannels({ views, channels = 3 }: Pick<ModelOptions, 'views' | 'channels'>): number {
  return views.length === 0 ? channels : views.reduce((sum, depth) => sum + depth, 0);
}

/**
 * Builds any network of the registry, classifier or segmenter; otherwise as `buildModel`.
 * @throws {UserError} for an unknown architecture.
 */
export function buildNetwork(architecture: string, options: ModelOptions): Model<Tensor2D | Tensor4D> {
  const { views, classes, channels = 3 } = options;
  const described = architectureOf(architecture);
  const { input } = described;
  const multiple = described.output === 'map' ? described.multiple : 1;
  if (views.length > 2) throw new Error(`a front takes one or two views, not ${views.length}`);
  const { parameters, root } = createParameters(options.seed);
  const network = build();
  const slices = inputChannels(options);
  const expected =
    (views.length === 0 ? `images of ${slices} channels` : `${views.join(' + ')} slices`) +
    ` of at least ${input.minimumEdge} pixels a side` +
    (multiple === 1 ? '' : `, a multiple of ${multiple}`);
  return {
    architecture,
    options,
    parameters,
    dispose: parameters.dispose,
    forward(x, mode) {
      const [, height, width, depth] = x.shape;
      const fits = (edge: number) => edge >= input.minimumEdge && edge % multiple === 0;
      if (depth !== slices || !fits(height) || !fits(width)) {
        throw new UserError(
          `${architecture} was built for ${expected}; the volume is ${height} × ${width} × ${depth}`,
          { remedy: "choose a size and views that agree with the network's" },
        );
      }
      return tf.tidy(() => network(x, mode));
    },
  };

  function build(): (x: Tensor4D, mode: Mode) => Tensor2D | Tensor4D {
    if (views.length === 0) return described.build(root, { channels, classes });
    const { front = convFront } = described;
    const encoder = front(root, views);
    const backbone = described.build(root.at('model'), { channels: 3, classes });
    return (x, mode) => backbone(encoder(x, mode), mode);
  }
}
