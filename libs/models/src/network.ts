// The types by which a file of `architectures/` describes its networks to the registry.
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs';
import type { Layer } from './layers.ts';
import type { Scope } from './weights/parameters.ts';

export interface NetworkOptions {
  /** Channels of the image: 3 behind a front and for published weights. */
  channels: number;
  classes: number;
}

/**
 * Creates the parameters of a front below `scope` and returns it: [N, H, W, slices of all views] → [N, H, W, 3]. `views`: the
 * number of slices of each of the one or two views.
 */
export type Front = (scope: Scope, views: readonly number[]) => Layer;

interface Described {
  /** Image size in pixels: `edge` × `edge` is the size it was designed for; each edge must be at least `minimumEdge`. */
  readonly input: { readonly edge: number; readonly minimumEdge: number };
  /** Name in the state dict of the last layer, which has one output per class. */
  readonly head: string;
  /** What reduces a volume to three channels; default `convFront`. Not used for an image without views. */
  readonly front?: Front;
  /** The published weights that fit this network; `_small` variants have none. */
  readonly pretrained?: Pretrained;
}

/** Published weights: their source, their licence, and how values in 0 … 1 were normalised for their training. */
export interface Pretrained {
  /** Repository on the Hugging Face hub. */
  readonly repository: string;
  /** SPDX identifier of the licence. */
  readonly licence: string;
  /** Normalisation of each colour: (value − mean) / std. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  /** Prefixes of tensor names in the file that are ignored, because the network has no such layers. */
  readonly skipped?: readonly string[];
}

/** A network that classifies an image: [N, H, W, channels] → logits [N, classes]. */
export interface Classifier extends Described {
  readonly output: 'classes';
  /** Number of features that the head receives, after the mean over all pixels. */
  readonly features: number;
  /** Creates the parameters below `scope` and returns the network. */
  readonly build: (scope: Scope, options: NetworkOptions) => Layer<Tensor4D, Tensor2D>;
}

/** A network that classifies every pixel: [N, H, W, channels] → logits [N, H, W, classes]. */
export interface Segmenter extends Described {
  readonly output: 'map';
  /** Height and width must be multiples of this. */
  readonly multiple: number;
  /** Creates the parameters below `scope` and returns the network. */
  readonly build: (scope: Scope, options: NetworkOptions) => Layer;
}

export type Architecture = Classifier | Segmenter;

/** Mean and standard deviation of ImageNet's channels. */
export const imageNet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;
