// What the Inception networks are made of: convolutions with batch normalisation and ReLU, in sequence and side by side.
import type { Init } from '../inits.ts';
import { avgPool, avgPoolInside, batchNorm, conv2d, maxPool, relu, sequential } from '../layers.ts';
import { branches as sideBySide, type Layer, type Pair } from '../layers.ts';
import type { Scope } from '../weights/parameters.ts';

/** Where a part of the network is to be built. */
export interface Place {
  scope: Scope;
  /** That come in. */
  channels: number;
  /** The published number of a layer's channels → this variant's. */
  width: (channels: number) => number;
  /** Of convolutions; default PyTorch's. */
  init?: Init;
  /** Of batch normalisations: see batchNorm. */
  offCentre?: boolean;
}

/** A layer and the channels that come out of it. */
export interface Part {
  layer: Layer;
  channels: number;
}

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

/** `name` may be a path: `branch1.0`. */
const within = (scope: Scope, name: string) => name.split('.').reduce((at, child) => at.at(child), scope);

const half = (kernel: Pair): Pair =>
  typeof kernel === 'number' ? (kernel - 1) / 2 : [(kernel[0] - 1) / 2, (kernel[1] - 1) / 2];

/** Padded so that height and width stay. */
export const conv = (name: string, out: number, kernel: Pair) =>
  unit(name, out, { kernel, padding: half(kernel) });

/** Without padding. */
export const convValid = (name: string, out: number, kernel: Pair) => unit(name, out, { kernel });

/** Every second pixel, without padding. */
export const convHalving = (name: string, out: number, kernel: Pair) =>
  unit(name, out, { kernel, stride: 2 });

const pool =
  (layer: Layer): Step =>
  ({ channels }) => ({ layer, channels });

export const maxPoolHalving = pool(maxPool({ size: 3, stride: 2 }));
/** 3×3, where padded zeros count. */
export const averagePadded = pool(avgPool({ size: 3, stride: 1, padding: 1 }));
/** 3×3, where they do not. */
export const averageInside = pool(avgPoolInside(3));

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

/** Each branch sees what comes in; their channels follow one another. */
export const inParallel =
  (...branches: readonly (readonly Step[])[]): Step =>
  (place) => {
    const parts = branches.map((steps) => inSequence(...steps)(place));
    return {
      layer: sideBySide(...parts.map(({ layer }) => layer)),
      channels: parts.reduce((sum, { channels }) => sum + channels, 0),
    };
  };

/** A step whose names lie below `name`. */
export const named =
  (name: string, step: Step): Step =>
  (place) =>
    step({ ...place, scope: within(place.scope, name) });

/** For the first steps of a network: see batchNorm. */
export const offCentre =
  (step: Step): Step =>
  (place) =>
    step({ ...place, offCentre: true });
