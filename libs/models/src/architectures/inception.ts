// The building blocks of the Inception networks: convolutions with batch normalisation and ReLU, in sequence and in parallel.
import type { Init } from '../inits.ts';
import { avgPool, avgPoolInside, batchNorm, conv2d, maxPool, relu, sequential } from '../layers.ts';
import { branches as sideBySide, type Layer, type Pair } from '../layers.ts';
import type { Scope } from '../weights/parameters.ts';

/** What a step needs to know in order to build its part of the network. */
export interface Place {
  /** Where the parameters are created. */
  scope: Scope;
  /** Number of input channels. */
  channels: number;
  /** Maps a published number of channels to this variant's. */
  width: (channels: number) => number;
  /** Initial values of the convolutions' weights; default: PyTorch's. */
  init?: Init;
  /** Passed on to the batch normalisations: see `BatchNormOptions`. */
  offCentre?: boolean;
}

/** A layer, and its number of output channels. */
export interface Part {
  layer: Layer;
  channels: number;
}

/** Builds one part of a network. */
export type Step = (place: Place) => Part;

interface UnitOptions {
  kernel: Pair;
  stride?: number;
  padding?: Pair;
}

/** Convolution, batch normalisation with ε 1e-3, ReLU: torchvision's BasicConv2d, timm's ConvNormAct. */
const unit =
  (name: string, out: number, options: UnitOptions): Step =>
  ({ scope, channels, width, init, offCentre = false }) => {
    const at = within(scope, name);
    const sizes = { in: channels, out: width(out), ...options };
    return {
      channels: sizes.out,
      layer: sequential(
        conv2d(at.at('conv'), init === undefined ? sizes : { ...sizes, init }),
        batchNorm(at.at('bn'), sizes.out, { epsilon: 1e-3, offCentre }),
        relu,
      ),
    };
  };

/** The scope below `scope` of this name, which may be a path such as `branch1.0`. */
const within = (scope: Scope, name: string) => name.split('.').reduce((at, child) => at.at(child), scope);

const half = (kernel: Pair): Pair =>
  typeof kernel === 'number' ? (kernel - 1) / 2 : [(kernel[0] - 1) / 2, (kernel[1] - 1) / 2];

/** A unit with padding that keeps height and width. */
export const conv = (name: string, out: number, kernel: Pair) =>
  unit(name, out, { kernel, padding: half(kernel) });

/** A unit without padding. */
export const convValid = (name: string, out: number, kernel: Pair) => unit(name, out, { kernel });

/** A unit with stride 2, without padding. */
export const convHalving = (name: string, out: number, kernel: Pair) =>
  unit(name, out, { kernel, stride: 2 });

const pool =
  (layer: Layer): Step =>
  ({ channels }) => ({ layer, channels });

/** 3×3 maximum with stride 2, without padding. */
export const maxPoolHalving = pool(maxPool({ size: 3, stride: 2 }));
/** 3×3 mean with stride 1; padded zeros count as values. */
export const averagePadded = pool(avgPool({ size: 3, stride: 1, padding: 1 }));
/** 3×3 mean with stride 1, over the pixels inside the image. */
export const averageInside = pool(avgPoolInside(3));

/** Builds the steps one after the other. */
export const inSequence =
  (...steps: readonly Step[]): Step =>
  (place) => {
    let { channels } = place;
    const layers = steps.map((step) => {
      const part = step({ ...place, channels });
      channels = part.channels;
      return part.layer;
    });
    return { layer: sequential(...layers), channels };
  };

/** Builds branches that all receive the same input; their output channels are concatenated in order. */
export const inParallel =
  (...branches: readonly (readonly Step[])[]): Step =>
  (place) => {
    const parts = branches.map((steps) => inSequence(...steps)(place));
    return {
      layer: sideBySide(...parts.map(({ layer }) => layer)),
      channels: parts.reduce((sum, { channels }) => sum + channels, 0),
    };
  };

/** The same step, with the names of its parameters below `name`. */
export const named =
  (name: string, step: Step): Step =>
  (place) =>
    step({ ...place, scope: within(place.scope, name) });

/** The same step, with `offCentre` batch normalisations: for the first steps of a network, see `BatchNormOptions`. */
export const offCentre =
  (step: Step): Step =>
  (place) =>
    step({ ...place, offCentre: true });
