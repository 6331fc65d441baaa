// Labelled slices at the input size of the network that is trained on them, and their split into train and val.
import { permutation, UserError } from '@ct-ensemble/core';
import type { Finding } from '../findings.ts';
import { listed } from '../findings.ts';
import { compareNames } from '../layouts/listing.ts';
import { resizeBilinear } from '../volumes/resize.ts';
import type { GreyImage } from '../scan.ts';

/** One labelled slice at network size. */
export interface SliceSample {
  /** The file relative to the data folder; for a slice of a volume also its number. */
  name: string;
  /** The patient, or the scan if patients are unknown. A group is held out as a whole or not at all. */
  group: string;
  /** Grey values, C order [edge, edge]. */
  image: Uint8Array;
  /** 1 for lung, 0 for none: one value for the slice, or one per pixel, C order [edge, edge]. */
  truth: Uint8Array;
}

export interface SliceSamples {
  /** In the order of their names. */
  samples: SliceSample[];
  /** Number of slices left out, by reason. */
  leftOut: Record<string, number>;
  findings: Finding[];
}

/** Resizes a slice to edge × edge grey values, bilinear as in Pillow. */
export function atEdge(image: GreyImage, edge: number): Uint8Array {
  return resizeBilinear(image, { height: edge, width: edge }).data;
}

export interface HoldOut {
  seed: number;
  /** Share of the groups that is held out, 0 … 1; at least one group. */
  share: number;
  /** Hold out these groups instead of drawing them; `share` is then ignored. */
  groups?: readonly string[];
}

/**
 * Splits samples by group into `train` and `val`. The groups of `val` are drawn by the seed, or named.
 * @throws {UserError} if a named group does not exist, or no group would be left to train on.
 */
export function holdOut(
  samples: readonly SliceSample[],
  { seed, share, groups: named }: HoldOut,
): { train: SliceSample[]; val: SliceSample[] } {
  const groups = Array.from(new Set(samples.map(({ group }) => group))).sort(compareNames);
  const unknown = named?.filter((group) => !groups.includes(group)) ?? [];
  if (unknown.length > 0)
    throw new UserError(`--val: there is no ${listed(unknown)}`, {
      remedy: `choose from ${listed(groups, 20)}`,
    });
  const count = Math.max(1, Math.round(share * groups.length));
  const drawn = permutation(groups.length, { seed, purpose: 'hold-out' }).slice(0, count);
  const held = new Set(named ?? drawn.map((i) => groups[i]!));
  if (held.size >= groups.length)
    throw new UserError(`nothing is left to train on: all of ${listed(groups)} are held out`, {
      remedy: 'add slices of another patient, each patient in a folder of its own',
    });
  return {
    train: samples.filter(({ group }) => !held.has(group)),
    val: samples.filter(({ group }) => held.has(group)),
  };
}
