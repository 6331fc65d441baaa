// What is odd about a dataset and did not stop the reading: told, never dropped.

/** One line for one odd thing. */
export interface Finding {
  /** A short name for its sort, such as `missing-slices` or `undecodable-slice`. */
  kind: string;
  /** The file or folder, absolute. */
  path: string;
  message: string;
}

/** `a, b, c and 7 more`. */
export function listed(items: readonly (string | number)[], limit = 5): string {
  const shown = items.slice(0, limit).join(', ');
  return items.length > limit ? `${shown} and ${items.length - limit} more` : shown;
}

/** `1 slice`, `2 slices`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
