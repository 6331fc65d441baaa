// What a network's file gives to the registry.
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs';
import type { Layer } from './layers.ts';
import type { Scope } from './weights/parameters.ts';

export interface NetworkOptions {
  /** Of the image: 3 behind a front, and for published weights. */
  channels: number;
  classes: number;
}

interface Described {
  /** The image it is meant for: `edge` × `edge` pixels. Any edge of at least `minimumEdge` works. */
  readonly input: { readonly edge: number; readonly minimumEdge: number };
  /** The layer that has one output a class, by its name in the state dict. */
  readonly head: string;
  /** The published weights that it takes; `_small` variants have none. */
  readonly pretrained?: Pretrained;
}

/** Published weights: what they are, whose, and how their images were made from values 0 … 1: (v − mean) / std. */
export interface Pretrained {
  /** Repository on the Hugging Face hub. */
  readonly repository: string;
  /** SPDX identifier. */
  readonly licence: string;
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
  /** Prefixes of names in the file that the network has no place for. */
  readonly skipped?: readonly string[];
}

/** A network that classifies an image: [N, H, W, channels] → logits [N, classes]. */
export interface Classifier extends Described {
  readonly output: 'classes';
  /** Channels before the head, after the mean over all pixels. */
  readonly features: number;
  readonly build: (scope: Scope, options: NetworkOptions) => Layer<Tensor4D, Tensor2D>;
}

/** A network that classifies every pixel: [N, H, W, channels] → logits [N, H, W, classes]. */
export interface Segmenter extends Described {
  readonly output: 'map';
  /** H and W must be multiples of this. */
  readonly multiple: number;
  readonly build: (scope: Scope, options: NetworkOptions) => Layer;
}

export type Architecture = Classifier | Segmenter;

/** Mean and standard deviation of ImageNet's channels. */
export const imageNet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;
