// Holm's correction of several p-values (Scandinavian Journal of Statistics 6, 1979).

/**
 * Adjusted p-values, in the order given: the i-th smallest of m times (m − i), never less than a smaller one's, at most 1. Rejecting
 * those below α keeps the chance of any false rejection below α.
 */
export function holm(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[a]! - pValues[b]!);
  const adjusted = new Array<number>(pValues.length);
  let least = 0;
  order.forEach((index, rank) => {
    least = Math.max(least, Math.min(1, (pValues.length - rank) * pValues[index]!));
    adjusted[index] = least;
  });
  return adjusted;
}
