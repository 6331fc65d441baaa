// Slices whose truth is known, at the size of the network that learns from them, and which of them are held out.
import { permutation, UserError } from '@ct-ensemble/core';
import type { Finding } from '../findings.ts';
import { listed } from '../findings.ts';
import { compareNames } from '../layouts/listing.ts';
import { resizeBilinear } from '../volumes/resize.ts';
import type { GreyImage } from '../scan.ts';

/** One slice at network size. */
export interface SliceSample {
  /** The file relative to the data folder, and in a volume the slice's number. */
  name: string;
  /** Patient, or scan where patients are not told: all of a group are held out, or none. */
  group: string;
  /** Grey values, C order [edge, edge]. */
  image: Uint8Array;
  /** 1 lung, 0 none: one value for the slice, or one a pixel, C order [edge, edge]. */
  truth: Uint8Array;
}

export interface SliceSamples {
  /** In the order of their names. */
  samples: SliceSample[];
  /** Why slices were left out, and how many. */
  leftOut: Record<string, number>;
  /** What is odd about the files. */
  findings: Finding[];
}

/** Bilinear, as Pillow does it. */
export function atEdge(image: GreyImage, edge: number): Uint8Array {
  return resizeBilinear(image, { height: edge, width: edge }).data;
}

export interface HoldOut {
  seed: number;
  /** Of the groups, at least one. */
  share: number;
  /** These groups and no others, whatever `share` says. */
  groups?: readonly string[];
}

/**
 * Splits samples by group: the groups are drawn from the seed, or named.
 * @throws {UserError} where a named group is unknown, or one of the sides would be empty.
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
