// Quantiles of a sample, by numpy's default rule.

const { abs, floor, max, min } = Math; // looked up once: slow under Jest

/** The q-quantile of ascending values: linear interpolation at position (n−1)·q. */
export function quantileOfSorted(sorted: Float64Array, q: number): number {
  const at = min(max(q, 0), 1) * (sorted.length - 1);
  const below = floor(at);
  const low = sorted[below]!;
  const high = sorted[min(below + 1, sorted.length - 1)]!;
  return low + (high - low) * (at - below);
}

/** Mean of the numbers that are not NaN; NaN if there is none. */
export function meanOfDefined(values: ArrayLike<number>): number {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (Number.isNaN(value)) continue;
    sum += value;
    count += 1;
  }
  return sum / count; // 0/0 is NaN
}

/** NaN, which marks an undefined score inside the library, becomes null in its results. */
export const orNull = (value: number): number | null => (Number.isNaN(value) ? null : value);

/** Equal up to the rounding errors of a sum, 1e-12 relative to the greater of 1 and the value. */
export const nearlyEqual = (a: number, b: number): boolean => abs(a - b) <= 1e-12 * max(1, abs(b));
