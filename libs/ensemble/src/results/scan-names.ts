// What a scan is called in probabilities and submissions.
import type { StoredScan } from '@ct-ensemble/data';

/** The scans' names; if two scans of a split share one (in folders of different classes), `class/name` for those. */
export function submissionNames(scans: readonly Pick<StoredScan, 'key' | 'name'>[]): string[] {
  const count = new Map<string, number>();
  for (const { name } of scans) count.set(name, (count.get(name) ?? 0) + 1);
  return scans.map(({ key, name }) => (count.get(name) === 1 ? name : key.slice(key.indexOf('/') + 1)));
}

/** Names of scans of the splits train and val together: as `submissionNames`, and the key where two scans still share one. */
export function developmentNames(scans: readonly Pick<StoredScan, 'key' | 'name'>[]): string[] {
  const names = submissionNames(scans);
  const count = new Map<string, number>();
  for (const name of names) count.set(name, (count.get(name) ?? 0) + 1);
  return names.map((name, i) => (count.get(name) === 1 ? name : scans[i]!.key));
}
