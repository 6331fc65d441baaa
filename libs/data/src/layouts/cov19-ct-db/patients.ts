// Which patient a scan is of, if the data set says so: `patients.csv` (split,class,name,patient; a line per scan)
// or `index.csv` (split,label,scan,patient_group among its columns; a line per slice) in its root.
import { join } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import type { Finding } from '../../findings.ts';
import { columnsOf, headerError, readRows } from '../../tables.ts';
import { splitOf } from '../../splits/split.ts';
import { classOf, scanName } from './spelling.ts';

export interface PatientTable {
  file: string;
  /** Patient by scan key. */
  byScan: ReadonlyMap<string, string>;
}

const FORMS = [
  { file: 'patients.csv', columns: ['split', 'class', 'name', 'patient'], required: true },
  { file: 'index.csv', columns: ['split', 'label', 'scan', 'patient_group'], required: false },
] as const;

/** The first table that exists, or null. Throws a UserError with line and field for a row that is not understood. */
export async function readPatients(
  root: string,
  files: readonly string[],
  findings: Finding[],
): Promise<PatientTable | null> {
  for (const form of FORMS) {
    if (!files.includes(form.file)) continue;
    const file = join(root, form.file);
    const [header, ...rows] = await readRows(file);
    const columns = columnsOf(header, form.columns);
    if (columns !== undefined) return patientTable(file, form.columns, { columns, rows });
    if (form.required) throw headerError(file, header, form.columns.join(','));
    findings.push({
      kind: 'unused-table',
      path: file,
      message: `names no patients: it lacks the columns ${form.columns.join(', ')}`,
    });
  }
  return null;
}

function patientTable(
  file: string,
  fields: readonly [string, string, string, string],
  table: { columns: number[]; rows: { line: number; cells: string[] }[] },
): PatientTable {
  const byScan = new Map<string, string>();
  for (const { line, cells } of table.rows) {
    const [split = '', group = '', name = '', patient = ''] = table.columns.map(
      (column) => cells[column] ?? '',
    );
    const bad = (field: string, problem: string, remedy: string) =>
      new UserError(`line ${line}, field ${field}: ${problem}`, { file, remedy });
    const splitName = splitOf(split);
    if (splitName === undefined) throw bad(fields[0], `'${split}' is no split`, 'write train, val or test');
    const className = classOf(group);
    if (className === undefined && !(splitName === 'test' && group === ''))
      throw bad(fields[1], `'${group}' is no class`, 'write covid or non-covid (or nothing, in test)');
    if (name === '') throw bad(fields[2], 'is empty', 'write the name of the scan');
    if (patient === '') continue;
    const key = [splitName, className, scanName(name)].filter((part) => part !== undefined).join('/');
    const earlier = byScan.get(key);
    if (earlier !== undefined && earlier !== patient)
      throw bad(
        fields[3],
        `${key} is of ${patient} here and of ${earlier} above`,
        'give each scan one patient',
      );
    byScan.set(key, patient);
  }
  return { file, byScan };
}
