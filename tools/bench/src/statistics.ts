// Means, medians and quartiles.

/** The quantile of the values for a share in 0 … 1, linearly interpolated (R's type 7, numpy's default). @throws if there are no values. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new Error('no values, no quantile');
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * share;
  const below = sorted[Math.floor(position)]!;
  const above = sorted[Math.ceil(position)]!;
  return below + (above - below) * (position % 1);
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

export const median = (values: readonly number[]): number => quantile(values, 0.5);
