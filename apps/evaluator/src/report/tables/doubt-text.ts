// Doubt about scans without a known class as the command line prints it: the most doubtful scans.
import type { UnlabelledReport } from '../model/report-model.ts';
import { tableText } from './render-tables.ts';
import { doubtTableOf } from './sections.ts';

/** Scans that are printed for each split; JSON and the report have all. */
const mostPrinted = 10;

export function doubtText(
  { split, title, notes, scans }: UnlabelledReport,
  classes: readonly string[],
): string {
  const table = doubtTableOf(scans, { id: split, title: `${title}, the most doubtful first`, classes });
  const left = scans.length - mostPrinted;
  const more = left > 0 ? `${left} more scans: --json and evaluator:report list them\n` : '';
  return `${notes.join('\n')}\n${tableText({ ...table, rows: table.rows.slice(0, mostPrinted) })}${more}`;
}
