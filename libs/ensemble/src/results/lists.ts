// Lists of names in one line of an error.
import { listed } from '@ct-ensemble/data';

/** `title: a, b, c and 4 more`, the first ten of the names, or undefined for an empty list. */
export function list(title: string, names: readonly string[]): string | undefined {
  if (names.length === 0) return undefined;
  return `${title}: ${listed(names, 10)}`;
}

/** The names that occur more than once, each once. */
export function doubled(names: readonly string[]): string[] {
  const seen = new Set<string>();
  return [...new Set(names.filter((name) => seen.size === seen.add(name).size))];
}
