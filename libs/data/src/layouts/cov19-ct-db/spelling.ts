// The tasks of the COV19D competition, and how copies of its database COV19-CT-DB spell classes and scans.
import { plainSpelling } from '../../splits/split.ts';

/** Classes of each task in label order: label i is the class at i. */
export const COMPETITION_TASKS = {
  detection: ['non-covid', 'covid'],
  severity: ['mild', 'moderate', 'severe', 'critical'],
} as const satisfies Readonly<Record<string, readonly string[]>>;

export type CompetitionTask = keyof typeof COMPETITION_TASKS;

/** A class folder of the database, in both tasks. */
export type ClassFolder = (typeof COMPETITION_TASKS)['detection'][number];

const CLASS_SPELLINGS: ReadonlyMap<string, ClassFolder> = new Map([
  ['cov', 'covid'],
  ['covid', 'covid'],
  ['covid19', 'covid'],
  ['noncov', 'non-covid'],
  ['noncovid', 'non-covid'],
  ['noncovid19', 'non-covid'],
]);

/** The class that a folder's name stands for: `Covid`, `cov`, `Non-Covid`, `non_cov`, …; else undefined. */
export function classOf(folder: string): ClassFolder | undefined {
  return CLASS_SPELLINGS.get(plainSpelling(folder));
}

/** The scan's name in its one spelling: `ct_scan183`, `CT-Scan-183` → `ct_scan_183`. Other names stay as they are. */
export function scanName(folder: string): string {
  const match = /^(test[_\- ]?)?ct[_\- ]?scan[_\- ]?(\d+)$/i.exec(folder.trim());
  return match ? `${match[1] === undefined ? '' : 'test_'}ct_scan_${match[2]}` : folder.trim();
}
