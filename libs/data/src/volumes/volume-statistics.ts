// A few numbers that describe a prepared scan, by which a new scan is compared with the scans of a training.
import { lungShare } from '../lungs/lungs.ts';
import { nearestIndices, type Volume } from './volume.ts';

/** Numbers about one prepared scan. All but `slices` are of the prepared volume or shares. */
export interface VolumeStatistics {
  /** Number of slices of the scan that could be decoded. */
  slices: number;
  /** Share of these that show lung, 0 … 1; 1 if the preparation uses all slices. */
  keptShare: number;
  /** Mean grey value of the volume, 0 … 255. */
  mean: number;
  /** Share of the volume's voxels that are 0. */
  black: number;
  /** Share of the volume's voxels that are 255. */
  white: number;
  /**
   * Share of the volume that is lung, over at most `LUNG_SLICES` slices: by the rule for slices with lung, or, where
   * everything outside of the lung is blackened, of voxels above 0.
   */
  lung: number;
}

/** Names of the numbers, in a fixed order. */
export const statisticNames = ['slices', 'keptShare', 'mean', 'black', 'white', 'lung'] as const;

/** Slices of a volume that are searched for lung, evenly spaced. */
const LUNG_SLICES = 16;

export function statisticsOf(
  { depth, height, width, data }: Volume,
  { slices, kept, isMasked }: { slices: number; kept: number; isMasked: boolean },
): VolumeStatistics {
  let [sum, black, white] = [0, 0, 0];
  for (let i = 0; i < data.length; i++) {
    const value = data[i]!;
    sum += value;
    if (value === 0) black++;
    else if (value === 255) white++;
  }
  const voxels = data.length;
  const area = height * width;
  const shown = nearestIndices(depth, Math.min(depth, LUNG_SLICES));
  const shares = shown.map((z) =>
    lungShare({ height, width, data: data.subarray(z * area, (z + 1) * area) }),
  );
  return {
    slices,
    keptShare: slices === 0 ? 0 : kept / slices,
    mean: sum / voxels,
    black: black / voxels,
    white: white / voxels,
    lung: isMasked ? 1 - black / voxels : shares.reduce((total, share) => total + share, 0) / shares.length,
  };
}
