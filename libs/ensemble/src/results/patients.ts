// The patients of a run's scans, whose scans are drawn together in resamples and calibrations.
import { codeOf, MAX_BYTES, readRegularText, UserError } from '@ct-ensemble/core';
import { type Predictions, predictionsOf } from '@ct-ensemble/evaluation';
import { parse } from 'csv-parse/sync';
import { splitsFile } from '../run-folder.ts';
import type { Probabilities } from './probabilities.ts';

/**
 * Patients by the keys of scans, from splits.csv; scans whose patient is not known are absent. Empty in runs of earlier versions, which
 * have no such file.
 * @throws {UserError} if the file is not a table with the columns scan and patient.
 */
export async function readPatients(run: string): Promise<ReadonlyMap<string, string>> {
  const file = splitsFile(run);
  const remedy = 'start the training of this run again, which writes the file anew';
  const text = await textIfPresent(file);
  if (text === undefined) return new Map();
  let rows: string[][];
  try {
    rows = parse(text, { bom: true, skip_empty_lines: true });
  } catch (cause) {
    throw new UserError('is no table of scans', { file, remedy, cause });
  }
  const [header = [], ...others] = rows;
  const [scan, patient] = ['scan', 'patient'].map((name) => header.indexOf(name));
  if (scan === -1 || patient === -1) throw new UserError('has no columns scan and patient', { file, remedy });
  return new Map(others.flatMap((row) => (row[patient!] ? [[row[scan!]!, row[patient!]!] as const] : [])));
}

/** The name that a scan's patient has in resamples; a scan whose patient is not known is a patient of its own. */
export function patientOf(patients: ReadonlyMap<string, string>, key: string): string {
  const known = patients.get(key);
  // A scan must not share its name with a patient.
  return known === undefined ? `scan ${key}` : `patient ${known}`;
}

/** The scans of these probabilities whose class is known, as the evaluation takes them; null if there are none. */
export function labelled(
  { classes, scans, rows }: Probabilities,
  patients: ReadonlyMap<string, string>,
): Predictions | null {
  const known = scans.flatMap((scan, i) => (scan.label === null ? [] : [{ scan, label: scan.label, i }]));
  if (known.length === 0) return null;
  return predictionsOf({
    classes: classes.length,
    labels: known.map(({ label }) => label),
    probabilities: known.map(({ i }) => rows[i]!),
    patients: known.map(({ scan }) => patientOf(patients, scan.key)),
  });
}

async function textIfPresent(file: string): Promise<string | undefined> {
  try {
    return await readRegularText(file, { maxBytes: MAX_BYTES.table });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}
