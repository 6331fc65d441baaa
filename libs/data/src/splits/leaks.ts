// Data leaks that the index shows: a patient, or the very same files, in two splits.
import { dirname } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import { counted, listed, type Finding } from '../findings.ts';
import { SPLITS } from './split.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { scansOfSameBytes } from './same-bytes.ts';
import { addAll } from '../lists.ts';

/** Leaks named in an error; findings name all. */
const MOST_NAMED = 10;

/** Throws a UserError that names what is in two splits; if leaks are allowed, returns a finding for each instead. */
export function reportLeaks(
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

/** Reports patients in two splits, and scans without a patient. */
export function checkPatients(options: {
  /** The file that names the patients, or the data set. */
  file: string;
  entries: readonly ScanEntry[];
  /** Where the splits are from. */
  splits: 'data' | 'recipe';
  allowLeaks: boolean;
  findings: Finding[];
}) {
  const { file, entries, splits, allowLeaks, findings } = options;
  const ofPatient = new Map<string, ScanEntry[]>();
  for (const scan of entries)
    if (scan.patient !== null) {
      const scans = ofPatient.get(scan.patient) ?? [];
      scans.push(scan);
      ofPatient.set(scan.patient, scans);
    }
  const shared = [...ofPatient].flatMap(([patient, scans]) => {
    const [first, ...others] = SPLITS.flatMap((split) => scans.find((scan) => scan.split === split) ?? []);
    return others.map(({ key }) => `${patient} (${first!.key} and ${key})`);
  });
  addAll(
    findings,
    reportLeaks(shared, {
      kind: 'patient-in-two-splits',
      problem: 'a patient is in two splits',
      file,
      remedy: 'move all scans of a patient into one split, or correct the table',
      allow: allowLeaks,
    }),
  );
  const without = entries.filter(({ patient }) => patient === null).map(({ key }) => key);
  if (without.length > 0)
    findings.push({
      kind: 'unknown-patient',
      path: file,
      message:
        `${counted(without.length, 'scan')} without a patient` +
        `${splits === 'recipe' ? ', each split as a patient of its own' : ''}: ${listed(without)}`,
    });
}

/** Reports scans that are made of byte-identical files: an error across splits, a finding within one. */
export async function checkSameBytes(
  entries: readonly ScanEntry[],
  { allowLeaks, findings }: { allowLeaks: boolean; findings: Finding[] },
) {
  const groups = await scansOfSameBytes(entries);
  const leaks = groups.flatMap((group) =>
    group.flatMap((scan, i) =>
      group
        .slice(i + 1)
        .filter(({ split }) => split !== scan.split)
        .map((other) => ({ names: `${scan.key} and ${other.key}`, folder: dirname(other.slices[0]!) })),
    ),
  );
  addAll(
    findings,
    reportLeaks(
      leaks.map(({ names }) => names),
      {
        kind: 'same-scan',
        problem: 'the very same slices are in two splits',
        file: leaks[0]?.folder ?? '',
        remedy: 'remove the scan from one of the splits',
        allow: allowLeaks,
      },
    ),
  );
  for (const group of groups)
    if (group.every(({ split }) => split === group[0]!.split))
      findings.push({
        kind: 'same-scan',
        path: dirname(group[0]!.slices[0]!),
        message: `the very same slices are ${group.map(({ key }) => key).join(', ')}`,
      });
}
