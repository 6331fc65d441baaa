// What the networks of the preparation do, whatever they run on: the filter of slices and the segmenter of lungs.
import type { GreyImage } from '../scan.ts';

/** Decides for each slice whether it shows lung. */
export interface SliceFilter {
  /** Identifies rule and weights: it goes into the content key. */
  readonly id: string;
  keep(slices: readonly GreyImage[]): Promise<boolean[]>;
}

/** Finds the lung in slices of any size. */
export interface LungSegmenter {
  /** Identifies rule and weights: it goes into the content key. */
  readonly id: string;
  /** Pixels of the masks' edges. */
  readonly edge: number;
  /** A mask per slice, C order [edge, edge]: 1 lung, 0 else. */
  masks(slices: readonly GreyImage[]): Promise<Uint8Array[]>;
}
