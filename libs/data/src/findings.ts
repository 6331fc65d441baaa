// Findings: everything unusual about a data set that did not prevent reading it. They are always reported.

import { printable } from '@ct-ensemble/core';

/** One finding about a file or folder. */
export interface Finding {
  /** An identifier for programs, such as `missing-slices` or `undecodable-slice`. */
  kind: string;
  /** Absolute path of the file or folder. */
  path: string;
  /** For a person. */
  message: string;
}

/** The items as a text, `a, b, c and 7 more`; at most `limit` of them are spelt out, with control characters shown. */
export function listed(items: readonly (string | number)[], limit = 5): string {
  const shown = items
    .slice(0, limit)
    .map((item) => printable(String(item)))
    .join(', ');
  return items.length > limit ? `${shown} and ${items.length - limit} more` : shown;
}

/** A count with its noun, `1 slice` or `2 slices`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
