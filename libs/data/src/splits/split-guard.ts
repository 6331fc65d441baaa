// What tells a network the answers: the same patient, files or scan in two splits. An error that names them all, or
// findings where the reader goes on knowingly.
import { UserError } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';
import type { Finding } from '../findings.ts';
import { nearEqualPairs } from '../volumes/fingerprint.ts';
import type { StoredScan } from '../scan-entry.ts';

/** In an error; findings tell all. */
const MOST_NAMED = 10;

/**
 * Throws a UserError that names what is in two splits; where that is allowed, gives a finding for each.
 */
export function tellLeaks(
  leaks: readonly string[],
  about: { kind: string; problem: string; file: string; remedy: string; allow: boolean },
): Finding[] {
  const { kind, problem, file, remedy, allow } = about;
  if (allow) return leaks.map((leak) => ({ kind, path: file, message: `${problem}: ${leak}` }));
  if (leaks.length === 0) return [];
  const more = leaks.length > MOST_NAMED ? `; and ${leaks.length - MOST_NAMED} more` : '';
  throw new UserError(`${problem}: ${leaks.slice(0, MOST_NAMED).join('; ')}${more}`, {
    file,
    remedy: `${remedy}, or go on knowingly with --allow-leaks`,
  });
}

/**
 * Compares the volumes of all scans by their fingerprints. Scans that are nearly equal are a finding within a split.
 * In two splits they are a UserError that names the pairs, or findings where that is allowed.
 */
export async function guardSplits(options: {
  /** Of the dataset, to be named. */
  root: string;
  scans: readonly StoredScan[];
  /** `fingerprintOf` the scan's volume. Not called for failed scans. */
  fingerprint: (scan: StoredScan) => Promise<string>;
  allow: boolean;
}): Promise<Finding[]> {
  const { root, fingerprint, allow } = options;
  const scans = options.scans.filter(({ volume }) => volume !== null);
  const fingerprints = await mapConcurrent(scans, 8, fingerprint);
  const pairs = nearEqualPairs(scans.map((scan, i) => ({ scan, fingerprint: fingerprints[i]! })));
  const within: Finding[] = [];
  const leaks: string[] = [];
  for (const { first, second, distance } of pairs) {
    const names = `${first.scan.key} and ${second.scan.key} (distance ${distance.toFixed(2)})`;
    if (first.scan.split !== second.scan.split) leaks.push(names);
    else within.push({ kind: 'near-equal-scans', path: root, message: `nearly equal: ${names}` });
  }
  const across = tellLeaks(leaks, {
    kind: 'near-equal-scans',
    problem: 'nearly equal scans are in two splits',
    file: root,
    remedy: 'remove one scan of each pair, or move both into one split',
    allow,
  });
  return [...across, ...within];
}
