// The rows of a split: each member, or each group of members over folds; the recipe's submissions; and the mean of all.
import type { RowInput } from './run-input.ts';

/** What is averaged: the probabilities of one member or group by the keys of scans. */
export interface Averaged {
  name: string;
  kind: 'member' | 'group';
  /** The members behind it: for a member itself. */
  members: readonly string[];
  byKey: ReadonlyMap<string, readonly number[]>;
}

export interface RowsOptions {
  /** Keys of the scans, in order. */
  keys: readonly string[];
  submissions: readonly { name: string; members: readonly string[] }[];
}

/** The rows in order: the averaged ones, the submissions that are means of some of them, the mean of all of them. */
export function rowsOf(averaged: readonly Averaged[], { keys, submissions }: RowsOptions): RowInput[] {
  const singles = averaged.map((each): RowInput => ({
    name: each.name,
    kind: each.kind,
    members: [each.name],
    submissions: [],
    probabilities: keys.map((key) => each.byKey.get(key) ?? null),
  }));
  const rows = singles.map((row) => ({ ...row, submissions: [] as string[] }));
  const add = (name: string, parts: readonly Averaged[], submission: boolean) => {
    const members = parts.map((part) => part.name);
    const same = rows.find((row) => sameSet(row.members, members));
    if (same !== undefined) {
      if (submission) same.submissions.push(name);
      return;
    }
    const probabilities = keys.map((key) => meanOf(parts.map(({ byKey }) => byKey.get(key))));
    rows.push({ name, kind: 'ensemble', members, submissions: submission ? [name] : [], probabilities });
  };
  for (const { name, members } of submissions) {
    const parts = averaged.filter((each) => each.members.every((member) => members.includes(member)));
    // A submission that holds a part of a group, or a member that is missing, is no mean of these rows.
    if (
      parts.length > 0 &&
      sameSet(
        parts.flatMap((part) => part.members),
        members,
      )
    )
      add(name, parts, true);
  }
  if (averaged.length > 1) add(`mean of all ${averaged.length}`, averaged, false);
  return rows;
}

const sameSet = (a: readonly string[], b: readonly string[]) => {
  const set = new Set(a);
  return set.size === new Set(b).size && b.every((name) => set.has(name));
};

/** Null if one of them has none: such a scan failed for this mean. */
function meanOf(rows: readonly (readonly number[] | undefined)[]): readonly number[] | null {
  const known = rows.filter((row) => row !== undefined);
  if (known.length < rows.length) return null;
  return known[0]!.map((_, k) => known.reduce((sum, row) => sum + row[k]!, 0) / known.length);
}
