// Splits and folds of scans: by patient, stratified by class, the same for the same scans whatever their order or place.
import { randomStream } from '@ct-ensemble/core';
import type { Split } from './split.ts';
import { compareNames } from '../layouts/listing.ts';

/** Shares of validation and test scans, 0 … 1 in sum; the rest is for training. */
export interface SplitShares {
  val: number;
  /** 0: no test split. */
  test: number;
  /** Of the order in which patients of equal size are dealt out. */
  seed: number;
}

/** What a split needs to know of a scan. */
export interface SplitScan {
  key: string;
  /** Null: not known; the scan is a patient of its own. */
  patient: string | null;
  /** Class, 0 and up; null: not known. */
  label: number | null;
}

/**
 * Split of every scan by its key. All scans of a patient are in one split. Patients with a scan without a label are in test.
 *
 * Greedy: classes in turn, the one with the fewest patients first; in it, patients in turn, the one with the most scans
 * first and equals in an order drawn from (seed, 'split', patient). Each goes to the split that comes
 * nearer to its shares by it than any other does, classes of which few scans are left counting most. While a class has only
 * as many patients left as there are splits without it, they go to those splits, in the order train, val, test. If no patient has scans of two classes, every split gets every class that has patients enough, and no
 * split misses its share of a class by as much as the class's greatest patient (unless the rule before decides).
 */
export function makeSplits(
  scans: readonly SplitScan[],
  { val, test, seed }: SplitShares,
): ReadonlyMap<string, Split> {
  const shares: [Split, number][] = [
    ['train', 1 - val - test],
    ['val', val],
    ['test', test],
  ];
  const groups = groupByPatient(scans);
  const splits = new Map<string, Split>();
  const assign = ({ keys }: PatientGroup, split: Split) => keys.forEach((key) => splits.set(key, split));
  for (const group of groups) if (group.hasUnlabelled) assign(group, 'test');
  const wanted = shares.filter(([, share]) => share > 0);
  const parts = dealOut(
    groups.filter(({ hasUnlabelled }) => !hasUnlabelled),
    { shares: wanted.map(([, share]) => share), seed, purpose: 'split' },
  );
  for (const [group, part] of parts) assign(group, wanted[part]![0]);
  return splits;
}

/**
 * Fold of every scan, 1 … folds, by its key: by patient and stratified by class, like {@link makeSplits} with equal shares
 * and the purpose 'fold'. Scans without a label get none.
 */
export function makeFolds(
  scans: readonly SplitScan[],
  { folds, seed }: { folds: number; seed: number },
): ReadonlyMap<string, number> {
  const groups = groupByPatient(scans.filter(({ label }) => label !== null));
  const shares = Array.from({ length: folds }, () => 1 / folds);
  const parts = dealOut(groups, { shares, seed, purpose: 'fold' });
  return new Map([...parts].flatMap(([{ keys }, part]) => keys.map((key) => [key, part + 1] as const)));
}

/** The scans of one patient. */
interface PatientGroup {
  patient: string;
  keys: string[];
  /** Scans of each class. */
  perClass: Map<number, number>;
  hasUnlabelled: boolean;
}

/** In the order of the patients' names. A scan without a patient is a group under its key. */
function groupByPatient(scans: readonly SplitScan[]): PatientGroup[] {
  const groups = new Map<string, PatientGroup>();
  for (const { key, patient, label } of scans) {
    const id = patient === null ? `scan ${key}` : `patient ${patient}`;
    const group: PatientGroup = groups.get(id) ?? {
      patient: id,
      keys: [],
      perClass: new Map(),
      hasUnlabelled: false,
    };
    group.keys.push(key);
    if (label === null) group.hasUnlabelled = true;
    else group.perClass.set(label, (group.perClass.get(label) ?? 0) + 1);
    groups.set(id, group);
  }
  return [...groups.values()].sort((a, b) => compareNames(a.patient, b.patient));
}

/** Deals groups out to parts with these shares; returns the part of each group. See {@link makeSplits}. */
function dealOut(
  groups: readonly PatientGroup[],
  { shares, seed, purpose }: { shares: readonly number[]; seed: number; purpose: 'split' | 'fold' },
): Map<PatientGroup, number> {
  const draws = new Map(
    groups.map((group) => [group, randomStream({ seed, purpose, sample: group.patient }).bits()]),
  );
  const totals = new Map<number, number>();
  for (const { perClass } of groups)
    for (const [label, count] of perClass) totals.set(label, (totals.get(label) ?? 0) + count);
  /** Scans of each class that each part still lacks. */
  const lacking = new Map([...totals].map(([label, total]) => [label, shares.map((share) => share * total)]));
  const holding = new Map([...totals].map(([label]) => [label, new Set<number>()]));
  /** Scans of each class that are not dealt out yet. */
  const waiting = new Map(totals);
  /**
   * How much nearer the part comes to its shares with the group: the sum over classes of (lack / waiting scans)². A class
   * counts the more the fewer of its scans are left to make up for a lack.
   */
  const gain = ({ perClass }: PatientGroup, part: number) =>
    [...perClass].reduce((sum, [label, count]) => {
      const lack = lacking.get(label)![part]!;
      return sum + (count * (2 * lack - count)) / waiting.get(label)! ** 2;
    }, 0);
  const lackingInAll = (part: number) =>
    [...lacking.values()].reduce((sum, counts) => sum + counts[part]!, 0);
  const parts = new Map<PatientGroup, number>();
  /** Patients with scans of each class that are not dealt out yet. */
  const patientsLeft = new Map<number, number>();
  for (const { perClass } of groups)
    for (const label of perClass.keys()) patientsLeft.set(label, (patientsLeft.get(label) ?? 0) + 1);
  /** The first part without a class of the group that has only as many patients left as there are such parts. */
  const needed = (group: PatientGroup) => {
    for (const label of group.perClass.keys()) {
      const without = shares.flatMap((_, part) => (holding.get(label)!.has(part) ? [] : [part]));
      if (without.length > 0 && patientsLeft.get(label)! <= without.length) return without[0]!;
    }
    return undefined;
  };
  for (;;) {
    const [next] = [...patientsLeft]
      .filter(([, left]) => left > 0)
      .sort(([a, left], [b, others]) => left - others || a - b);
    if (next === undefined) return parts;
    const [label] = next;
    const left = groups.filter((group) => group.perClass.has(label) && !parts.has(group));
    const size = (group: PatientGroup) => group.perClass.get(label)!;
    left.sort((a, b) => size(b) - size(a) || draws.get(a)! - draws.get(b)!);
    for (const group of left) {
      const part = needed(group) ?? best(shares.length, (each) => [gain(group, each), lackingInAll(each)]);
      parts.set(group, part);
      for (const [each, count] of group.perClass) {
        lacking.get(each)![part]! -= count;
        waiting.set(each, waiting.get(each)! - count);
        patientsLeft.set(each, patientsLeft.get(each)! - 1);
        holding.get(each)!.add(part);
      }
    }
  }
}

/** The number below n with the greatest first value; of equals the one with the greatest second value, then the first. */
function best(n: number, valuesOf: (i: number) => [number, number]): number {
  let chosen = 0;
  for (let i = 1; i < n; i++) {
    const [a, b] = [valuesOf(i), valuesOf(chosen)];
    // Shares are fractions: what differs by rounding only is equal.
    const first = Math.abs(a[0] - b[0]) < 1e-12 ? 0 : a[0] - b[0];
    if (first > 0 || (first === 0 && a[1] - b[1] > 1e-9)) chosen = i;
  }
  return chosen;
}
