// The rows of a split: each member, or each group of members over folds; the recipe's submissions; and the mean of all.
import type { ChoiceInput, RowInput } from './run-input.ts';

/** What is averaged: the probabilities of one member or group by the keys of scans. */
export interface Averaged {
  name: string;
  kind: 'member' | 'group';
  /** The members behind it: for a member itself. */
  members: readonly string[];
  byKey: ReadonlyMap<string, readonly number[]>;
}

/** A submission that chooses weights, a temperature or a threshold, with its probabilities and the mean's by the keys of scans. */
export interface Chosen extends Omit<ChoiceInput, 'mean'> {
  name: string;
  members: readonly string[];
  byKey: Averaged['byKey'];
  mean: Averaged['byKey'];
}

export interface RowsOptions {
  /** Keys of the scans, in order. */
  keys: readonly string[];
  /** The submissions that are means. */
  submissions: readonly { name: string; members: readonly string[] }[];
  chosen?: readonly Chosen[];
}

/** The rows in order: the averaged ones, the submissions that are means of some of them, those that choose, the mean of all. */
export function rowsOf(
  averaged: readonly Averaged[],
  { keys, submissions, chosen = [] }: RowsOptions,
): RowInput[] {
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
    const same = rows.find((row) => row.kind !== 'chosen' && sameSet(row.members, members));
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
  const listed = (byKey: Averaged['byKey']) => keys.map((key) => byKey.get(key) ?? null);
  for (const { name, members, byKey, mean, words, isStretched } of chosen)
    rows.push({
      name,
      kind: 'chosen',
      members: averaged.filter((each) => each.members.every((member) => members.includes(member))).map((each) => each.name), // prettier-ignore
      submissions: [name],
      probabilities: listed(byKey),
      choice: { words, isStretched, mean: listed(mean) },
    });
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
