// The architectures by name, and the models made of them: front, backbone, logits.
import { UserError } from '@ct-ensemble/core';
import tf, { type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import { denseNet, densenet161, densenetSmall, type DenseNetSize } from './densenet.ts';
import { front } from './front.ts';
import type { Layer, Mode } from './layers.ts';
import { createParameters, type Parameters, type Scope } from './parameters.ts';

export interface Architecture {
  /** The volume it is meant for: `edge` × `edge` pixels, `depth` slices. Any edge of at least `minimumEdge` works. */
  readonly input: { readonly edge: number; readonly depth: number; readonly minimumEdge: number };
  /** Creates the whole network's parameters: [N, H, W, depth] → logits [N, classes]. */
  readonly build: (root: Scope, options: { depth: number; classes: number }) => Layer<Tensor4D, Tensor2D>;
}

const withDenseNet =
  (size: DenseNetSize): Architecture['build'] =>
  (root, { depth, classes }) => {
    const encoder = front(root, depth);
    const backbone = denseNet(root.at('model'), size, classes);
    return (x, mode) => backbone(encoder(x, mode), mode);
  };

export const architectures: Readonly<Record<string, Architecture>> = {
  densenet161: { input: { edge: 224, depth: 64, minimumEdge: 29 }, build: withDenseNet(densenet161) },
  densenet_small: { input: { edge: 64, depth: 16, minimumEdge: 13 }, build: withDenseNet(densenetSmall) },
};

export function architectureNames(): string[] {
  return Object.keys(architectures);
}

export interface ModelOptions {
  /** Slices of a volume. */
  depth: number;
  classes: number;
  /** Seed of the first values: an integer, 0 … 2³²−1. */
  seed: number;
}

export interface Model {
  readonly architecture: string;
  /** x: [batch, height, width, depth] float32 in [0, 1] → logits [batch, classes]. */
  forward(x: Tensor4D, mode: Mode): Tensor2D;
  readonly parameters: Parameters;
  dispose(): void;
}

/**
 * Builds a network on tfjs's current backend.
 * @throws {UserError} for an unknown architecture.
 */
export function buildModel(architecture: string, options: ModelOptions): Model {
  if (!Object.hasOwn(architectures, architecture)) {
    throw new UserError(`unknown architecture ${JSON.stringify(architecture)}`, {
      remedy: `choose one of ${architectureNames().join(', ')}`,
    });
  }
  const { build, input } = architectures[architecture]!;
  const { parameters, root } = createParameters(options.seed);
  const network = build(root, options);
  return {
    architecture,
    parameters,
    dispose: parameters.dispose,
    forward(x, mode) {
      const [, height, width, depth] = x.shape;
      if (depth !== options.depth || Math.min(height, width) < input.minimumEdge) {
        throw new UserError(
          `${architecture} was built for ${options.depth} slices of at least ${input.minimumEdge} pixels ` +
            `a side; the volume is ${height} × ${width} × ${depth}`,
          { remedy: "make the recipe's volume and the model's agree" },
        );
      }
      return tf.tidy(() => network(x, mode));
    },
  };
}
