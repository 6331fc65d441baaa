// Which slices of a scan become the slices of its volume.
import { nearestIndices } from './volume.ts';

export interface SamplingOptions {
  /** Slices to choose from. */
  count: number;
  /** Slices of each view. */
  views: readonly number[];
  /**
   * `nearest`: evenly over all. `lung-area`: from the contiguous half with the most lung, as many from every stretch as
   * it has of that half's lung.
   */
  sampling: 'nearest' | 'lung-area';
  /** `shared`: every view samples by itself, and so shows slices that another shows; `own`: no two views share a slice while there are enough. */
  secondView: 'shared' | 'own';
  /** [count], lung in each slice, in any unit; `lung-area` needs it. */
  areas?: readonly number[];
}

/** For each slice of the volume the position of its source; one view after the other, each in the scan's order. */
export function sampleSlices({ count, views, sampling, secondView, areas }: SamplingOptions): number[] {
  const sample = (slices: number) =>
    sampling === 'nearest' ? nearestIndices(count, slices) : sampleByArea(areas!, slices);
  if (secondView === 'shared') return views.flatMap(sample);
  return dealt(sample(views.reduce((sum, depth) => sum + depth, 0)), views);
}

/**
 * The contiguous half (of equal ones the first) with the greatest sum, and in it the elements where the running sum
 * passes the middles of `slices` equal parts. Without any area every element weighs the same.
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

/** Deals the elements out in turn, so that each of two views has its share of every stretch. */
function dealt(elements: readonly number[], views: readonly number[]): number[] {
  const [first = 0, second = 0] = views;
  const isSecond = elements.map(
    (_, i) => Math.floor(((i + 1) * second) / (first + second)) > Math.floor((i * second) / (first + second)),
  );
  return [...elements.filter((_, i) => !isSecond[i]), ...elements.filter((_, i) => isSecond[i])];
}
