// The identity of a volume: a hash of the slices' bytes and of every setting that influences its grey values.
import { createHash } from 'node:crypto';
import type { SliceFile } from '../readers/slice-source.ts';
import type { ScanEntry } from '../scan-entry.ts';
import type { SliceDraw } from './slice-choice.ts';
import { viewsOf, type Preparation, type PreparationNetworks } from './preparation-settings.ts';

/** Increase it with every change of the code that changes grey values: volumes of another version are not reused. */
export const PREPARATION_VERSION = 4;

/** The normalised form of a preparation, with every default filled in; what cannot influence the volume is null. */
export type PreparationSettings = ReturnType<typeof settingsOf>;

/**
 * Everything except the scan itself that influences the grey values. Two preparations that give equal volumes by
 * definition (one leaves out a default that the other spells out) have equal settings.
 */
export function settingsOf(preparation: Preparation, networks: PreparationNetworks = {}) {
  const { height, width, mask = null } = preparation;
  const {
    slices = 'all',
    sampling = 'nearest',
    secondView = 'shared',
    equalize = false,
    values,
    draw,
  } = preparation;
  const needsMasks = mask !== null || sampling === 'lung-area';
  // The content key hashes this object as JSON: the order of the fields matters.
  return {
    version: PREPARATION_VERSION,
    views: viewsOf(preparation),
    height,
    width,
    slices,
    sampling,
    secondView,
    mask: mask && { dilate: mask.dilate, edge: mask.edge ?? 'dilated' },
    equalize,
    filter: slices === 'lung' ? (networks.filter?.id ?? 'area') : null,
    segmenter: needsMasks ? (networks.segmenter?.id ?? 'threshold') : null,
    ...(values !== undefined && { values }),
    ...(draw !== undefined && draw.index > 0 && { draw: inLowestTerms(draw) }),
  };
}

/** Draw 2 of 4 takes the slices of draw 1 of 2. */
function inLowestTerms({ index, of }: SliceDraw): SliceDraw {
  let [a, b] = [of, index];
  while (b > 0) [a, b] = [b, a % b];
  return { index: index / a, of: of / a };
}

/**
 * The content key of a volume: SHA-256, hexadecimal, over the bytes of the slice files in their order, the format that
 * they are read as, and the settings. File names do not influence it.
 */
export function contentKey(
  files: readonly SliceFile[],
  { format, settings }: { format: ScanEntry['format']; settings: PreparationSettings },
): string {
  return sha256(JSON.stringify({ format, settings, slices: files.map(digestOf) }));
}

/** SHA-256 of a file's bytes, computed once; null for a file that could not be read. */
export function digestOf(file: SliceFile): string | null {
  return file.bytes === null ? null : (file.digest ??= sha256(file.bytes));
}

const sha256 = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');
