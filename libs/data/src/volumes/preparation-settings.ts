// What a recipe asks of a volume: its size, which slices it is made of, and how they are processed.
import { UserError } from '@ct-ensemble/core';
import type { LungSegmenter, SliceFilter } from '../lungs/slice-networks.ts';
import type { ValuesChoice } from '../readers/values.ts';
import type { MaskBorder } from './masking.ts';
import type { SamplingOptions, SliceDraw } from './slice-choice.ts';

/** The settings of one kind of volume. Every field is part of a volume's content key. */
export interface Preparation {
  /** Number of slices; with two views, the number of each, and the views' slices follow one another in the volume. */
  depth: number | readonly number[];
  /** Pixels. */
  height: number;
  /** Pixels. */
  width: number;
  /** `lung`: use only slices that show lung. Default `all`. */
  slices?: 'all' | 'lung';
  /** How slices are sampled, see `sampleSlices`. Default `nearest`. */
  sampling?: SamplingOptions['sampling'];
  /** Whether two views may show the same slice, see `sampleSlices`. Default `shared`. */
  secondView?: SamplingOptions['secondView'];
  /** Blacken everything outside the lung mask, with this border. Default null: no mask. */
  mask?: MaskBorder | null;
  /** Equalise each slice's histogram. Default false. */
  equalize?: boolean;
  /** What the numbers in the scans' files are, `--values`. Default: decided from the numbers by `decide` (values.ts). */
  values?: ValuesChoice;
  /** Another draw of slices than the plain volume's, see `SliceDraw`; needs the sampling `nearest`. Default: draw 0. */
  draw?: SliceDraw;
}

/** Networks that replace the thresholds: `filter` for `slices: lung`, `segmenter` for masks and lung areas. */
export interface PreparationNetworks {
  filter?: SliceFilter;
  segmenter?: LungSegmenter;
}

export interface PrepareOptions {
  preparation: Preparation;
  networks?: PreparationNetworks;
  /** Whether `PreparedScan.fingerprint` is computed. Default true. */
  fingerprint?: boolean;
}

/** The number of slices of each view. */
export function viewsOf({ depth }: Pick<Preparation, 'depth'>): readonly number[] {
  return typeof depth === 'number' ? [depth] : depth;
}

/** @throws {UserError} naming the first field whose value is not allowed. */
export function requireValid(preparation: Preparation) {
  const { height, width, mask, draw, sampling = 'nearest' } = preparation;
  const views = viewsOf(preparation);
  const depths = Object.fromEntries(
    views.map((depth, i) => [views.length === 1 ? 'depth' : `depth[${i}]`, depth]),
  );
  for (const [name, value] of Object.entries({ ...depths, height, width }))
    if (!Number.isInteger(value) || value < 1)
      throw new UserError(`preparation, field ${name}: ${value} is not a whole number above zero`);
  if (views.length < 1 || views.length > 2)
    throw new UserError(`preparation, field depth: ${views.length} views; there may be one or two`);
  if (mask && (!Number.isInteger(mask.dilate) || mask.dilate % 2 !== 1 || mask.dilate < 1))
    throw new UserError(`preparation, field mask.dilate: ${mask.dilate} is not an odd number above zero`);
  if (draw === undefined) return;
  const { index, of } = draw;
  if (!Number.isInteger(index) || !Number.isInteger(of) || index < 0 || index >= of)
    throw new UserError(`preparation, field draw: there is no draw ${index} of ${of}; they count from 0`);
  if (sampling !== 'nearest')
    throw new UserError(`preparation, field draw: the sampling ${sampling} has one draw of slices only`);
}
