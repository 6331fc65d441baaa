// What the preparation asks of networks that look at slices; it does not know how they compute.
import type { GreyImage } from './slices.ts';

/** Decides for each slice whether it shows lung. */
export interface SliceFilter {
  /** Names the rule and its weights; it goes into the content key. */
  readonly id: string;
  /** One answer a slice, in their order; slices of any size. */
  keep(slices: readonly GreyImage[]): Promise<boolean[]>;
}

/** Finds the lungs in each slice. */
export interface LungSegmenter {
  /** Names the network and its weights; it goes into the content key. */
  readonly id: string;
  /** Height and width of the masks, in pixels. */
  readonly edge: number;
  /** One mask a slice, in their order, C order [edge, edge]: 1 lung, 0 else; slices of any size. */
  masks(slices: readonly GreyImage[]): Promise<Uint8Array[]>;
}
