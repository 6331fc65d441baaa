// Sampling: which slices of a scan become the slices of its volume.
import { nearestIndices } from './volume.ts';

export interface SamplingOptions {
  /** Number of slices to choose from. */
  count: number;
  /** Number of slices of each view; one or two views. */
  views: readonly number[];
  /**
   * `nearest`: evenly over all slices. `lung-area`: from the contiguous half of the slices with the largest lung area, the
   * more densely the larger the area is.
   */
  sampling: 'nearest' | 'lung-area';
  /**
   * `shared`: every view samples all slices, so that two views may show the same slice. `own`: the slices of one sampling
   * are divided between the views, so that they share no slice if there are enough.
   */
  secondView: 'shared' | 'own';
  /** [count], lung area of each slice in any unit; required for `lung-area`. */
  areas?: readonly number[];
}

/** For each slice of the volume the position of its source; one view after another, each in the order of the scan. */
export function sampleSlices({ count, views, sampling, secondView, areas }: SamplingOptions): number[] {
  const sample = (slices: number) =>
    sampling === 'nearest' ? nearestIndices(count, slices) : sampleByArea(areas!, slices);
  if (secondView === 'shared') return views.flatMap(sample);
  return dealOut(sample(views.reduce((sum, depth) => sum + depth, 0)), views);
}

/**
 * Finds the contiguous half with the largest total area (the first of several equal ones). Divides the running sum of its
 * areas into `slices` equal parts and takes the element that holds the middle of each part. If the total is 0, samples the
 * first half evenly.
 */
function sampleByArea(areas: readonly number[], slices: number): number[] {
  const half = Math.ceil(areas.length / 2);
  const sums = [0];
  for (const area of areas) sums.push(sums.at(-1)! + area);
  const sumFrom = (start: number) => sums[start + half]! - sums[start]!;
  let start = 0;
  for (let next = 1; next + half <= areas.length; next++) if (sumFrom(next) > sumFrom(start)) start = next;
  const total = sumFrom(start);
  if (total === 0) return nearestIndices(half, slices).map((k) => start + k);
  let at = start;
  return Array.from({ length: slices }, (_, i) => {
    const wanted = sums[start]! + ((i + 0.5) / slices) * total;
    while (at < start + half - 1 && sums[at + 1]! <= wanted) at++;
    return at;
  });
}

/** Divides the elements between two views in turn, in proportion to their sizes, so that both cover the whole scan. */
function dealOut(elements: readonly number[], views: readonly number[]): number[] {
  const [first = 0, second = 0] = views;
  const isSecond = elements.map(
    (_, i) => Math.floor(((i + 1) * second) / (first + second)) > Math.floor((i * second) / (first + second)),
  );
  return [...elements.filter((_, i) => !isSecond[i]), ...elements.filter((_, i) => isSecond[i])];
}
