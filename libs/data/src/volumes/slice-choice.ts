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
  /** Which of several draws of slices; needs `nearest`. Default: draw 0, the slices of a plain volume. */
  draw?: SliceDraw;
}

/**
 * One of `of` draws that take different slices of the same scan, for the mean of several predictions. Draw `index` shifts the
 * places that slices are taken from by index / of of the distance between two slices of the view with the most slices: with
 * N draws, element i of a view of `depth` slices is taken from slice floor((i / depth + index / (N · most)) · count), which is
 * below count. With one view this is floor((i + index / N) · count / depth). All views are shifted by the same distance, so
 * that a view that shows slices of another one does so in every draw; with the second view `own`, the one sampling for both
 * is shifted. Draw 0 is the plain volume. A scan of few slices has little to draw from: with one view whose depth is a
 * multiple of count, all draws are equal.
 */
export interface SliceDraw {
  /** Counts from 0. */
  index: number;
  /** Number of draws. */
  of: number;
}

/** For each slice of the volume the position of its source; one view after another, each in the order of the scan. */
export function sampleSlices(options: SamplingOptions): number[] {
  const { count, views, sampling, secondView, areas, draw = { index: 0, of: 1 } } = options;
  const total = views.reduce((sum, depth) => sum + depth, 0);
  const most = secondView === 'shared' ? Math.max(...views) : total;
  const sample = (slices: number) =>
    sampling === 'nearest' ? drawnIndices(count, slices, { ...draw, most }) : sampleByArea(areas!, slices);
  if (secondView === 'shared') return views.flatMap(sample);
  return dealOut(sample(total), views);
}

/** `nearestIndices` of a draw, see `SliceDraw`; the division of whole numbers makes the floor exact. */
function drawnIndices(
  count: number,
  slices: number,
  { index, of, most }: SliceDraw & { most: number },
): number[] {
  if (index === 0) return nearestIndices(count, slices);
  return Array.from({ length: slices }, (_, i) =>
    Math.floor(((i * of * most + index * slices) * count) / (slices * of * most)),
  );
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
