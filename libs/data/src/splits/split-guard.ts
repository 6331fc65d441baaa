// Data leaks that only the prepared volumes show: nearly equal scans in two splits.
import { mapConcurrent } from '../concurrent.ts';
import type { Finding } from '../findings.ts';
import { nearEqualPairs } from '../volumes/fingerprint.ts';
import type { StoredScan } from '../scan-entry.ts';
import { reportLeaks } from './leaks.ts';

/** The kind of the finding of nearly equal scans in two folds. */
export const NEAR_EQUAL_IN_FOLDS = 'near-equal-scans-in-two-folds';

/**
 * Compares the volumes of all scans by their fingerprints. Nearly equal scans within a split are a finding. In two splits
 * they are a UserError that names the pairs; if leaks are allowed, findings. In two folds they are a finding of a kind of its
 * own, in two splits too.
 */
export async function guardSplits(options: {
  /** Folder of the data set, for messages. */
  root: string;
  scans: readonly StoredScan[];
  /** `fingerprintOf` the scan's volume. Not called for failed scans. */
  fingerprint: (scan: StoredScan) => Promise<string>;
  /** Fold of each scan by its key, where members are trained by fold. */
  folds?: ReadonlyMap<string, number>;
  allow: boolean;
  /** After it is aborted, its reason is thrown. */
  signal?: AbortSignal | undefined;
}): Promise<Finding[]> {
  const { root, fingerprint, folds, allow } = options;
  const scans = options.scans.filter(({ volume }) => volume !== null);
  const fingerprints = await mapConcurrent(scans, 8, fingerprint);
  const pairs = await nearEqualPairs(
    scans.map((scan, i) => ({ scan, fingerprint: fingerprints[i]! })),
    { signal: options.signal },
  );
  const within: Finding[] = [];
  const leaks: string[] = [];
  for (const { first, second, distance } of pairs) {
    const names = `${first.scan.key} and ${second.scan.key} (distance ${distance.toFixed(2)})`;
    const [one, other] = [folds?.get(first.scan.key), folds?.get(second.scan.key)];
    const isInTwoFolds = one !== undefined && other !== undefined && one !== other;
    const path = root;
    if (isInTwoFolds) {
      const message = `nearly equal scans are in two folds: ${names}, folds ${one} and ${other}`;
      within.push({ kind: NEAR_EQUAL_IN_FOLDS, path, message });
    }
    if (first.scan.split !== second.scan.split) leaks.push(names);
    else if (!isInTwoFolds)
      within.push({ kind: 'near-equal-scans', path, message: `nearly equal: ${names}` });
  }
  const across = reportLeaks(leaks, {
    kind: 'near-equal-scans',
    problem: 'nearly equal scans are in two splits',
    file: root,
    remedy: 'remove one scan of each pair, or move both into one split',
    allow,
  });
  return [...across, ...within];
}
