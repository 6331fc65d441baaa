// The lists of severity categories: `<split>_partition_covid_categories.csv` of the 2nd edition (separator `;`, header
// `Name;Category`, categories 1 … 4 = mild … critical), or the same two columns as XLSX (3rd edition).
import { join } from 'node:path';
import { UserError } from '@ct-ensemble/core';
import type { Finding } from '../../findings.ts';
import { columnsOf, headerError, readRows } from '../../tables.ts';
import { splitOf, type Split } from '../../splits/split.ts';
import { COMPETITION_TASKS, scanName } from './spelling.ts';

/** Category of each listed scan of one split. */
export interface SeverityList {
  file: string;
  /** By scan name in its one spelling: its class and the line of the list. */
  entries: ReadonlyMap<string, { className: string; line: number }>;
}

/** Finds and reads the lists among the files of the data set's root; of a CSV and an XLSX of one split, the CSV is read. */
export async function readSeverityLists(root: string, files: readonly string[], findings: Finding[]) {
  const lists = new Map<Split, SeverityList>();
  for (const file of [...files].sort((a, b) => Number(isXlsx(a)) - Number(isXlsx(b)))) {
    const split = listSplit(file);
    if (split === undefined) continue;
    const path = join(root, file);
    const first = lists.get(split);
    if (first === undefined) lists.set(split, await readSeverityList(path, findings));
    else findings.push({ kind: 'unused-list', path, message: `not read, ${first.file} is used instead` });
  }
  return lists;
}

/** Reads one list. Throws a UserError with line and field for a bad header, a bad category or a contradiction. */
export async function readSeverityList(file: string, findings: Finding[]): Promise<SeverityList> {
  const [header, ...rows] = await readRows(file);
  const columns = columnsOf(header, ['Name', 'Category']);
  if (columns === undefined) throw headerError(file, header, 'Name;Category');
  const entries = new Map<string, { className: string; line: number }>();
  const classes = COMPETITION_TASKS.severity;
  for (const { line, cells } of rows) {
    const [name = '', category = ''] = columns.map((column) => cells[column] ?? '');
    const bad = (problem: string, remedy: string) =>
      new UserError(`line ${line}, ${problem}`, { file, remedy });
    if (name === '') throw bad('field Name: is empty', 'write the name of the scan');
    if (!/^[1-4](\.0*)?$/.test(category))
      throw bad(
        `field Category: '${category}' is no category`,
        `write 1, 2, 3 or 4 (${classes[0]} … ${classes[3]})`,
      );
    const entry = { className: classes[Number(category) - 1]!, line };
    const earlier = entries.get(scanName(name));
    if (earlier !== undefined && earlier.className !== entry.className)
      throw bad(
        `field Category: ${name} has category ${category} (${entry.className}) here and ${earlier.className} in line ${earlier.line}`,
        'keep one of the two lines',
      );
    if (earlier !== undefined)
      findings.push({
        kind: 'listed-twice',
        path: file,
        message: `line ${line}: ${name} is already in line ${earlier.line}, with the same category`,
      });
    else entries.set(scanName(name), entry);
  }
  return { file, entries };
}

function listSplit(file: string): Split | undefined {
  const match = /^([a-z]+)_partition_covid_categories\.(csv|xlsx)$/i.exec(file);
  return match ? splitOf(match[1]!) : undefined;
}

function isXlsx(file: string) {
  return file.toLowerCase().endsWith('.xlsx');
}
