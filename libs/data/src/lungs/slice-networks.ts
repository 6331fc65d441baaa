// Interfaces of the two networks that the preparation may use: the slice filter and the lung segmenter.
import type { GreyImage } from '../scan.ts';

/** Decides for each slice whether it shows lung. */
export interface SliceFilter {
  /** Identifies the rule and the weights; part of the content keys of volumes. */
  readonly id: string;
  /** [slices], true for each slice that shows lung. */
  keep(slices: readonly GreyImage[]): Promise<boolean[]>;
}

/** Finds the lung in slices of any size. */
export interface LungSegmenter {
  /** Identifies the rule and the weights; part of the content keys of volumes. */
  readonly id: string;
  /** Height and width of the masks in pixels. */
  readonly edge: number;
  /** One mask per slice, C order [edge, edge]: 1 for lung, 0 elsewhere. */
  masks(slices: readonly GreyImage[]): Promise<Uint8Array[]>;
}
