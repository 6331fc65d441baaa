// Answers as a table on the terminal, a row as soon as its scan is answered.
import type { Answer, ScanEntry } from '@ct-ensemble/ensemble';

export interface AnswerTable {
  header: string;
  /** The row of an answer, and below it a line for each finding; `number` counts from 1. */
  rowOf(answer: Answer, number: number): string;
}

/** Longest name of a scan for which the columns are aligned. */
const LONGEST = 60;

export function answerTable(scans: readonly ScanEntry[], classes: readonly string[]): AnswerTable {
  const widest = (names: readonly string[]) => names.reduce((most, name) => Math.max(most, name.length), 0);
  const scanWidth = Math.min(LONGEST, Math.max(4, widest(scans.map(({ key }) => key))));
  const classWidth = Math.max(9, widest(classes));
  const count = String(scans.length).length;
  const columns = classes.map((name) => name.padStart(classWidth));
  const start = (number: string, scan: string) =>
    `${number.padStart(2 * count + 1)}  ${scan.padEnd(scanWidth)}`;
  return {
    header: `${start('', 'scan')}  ${'predicted'.padEnd(classWidth)}  ${columns.join('  ')}  ${'sd'.padStart(5)}  set`,
    rowOf(answer, number) {
      const first = start(`${number}/${scans.length}`, answer.scan);
      const findings = findingLines(answer).map((line) => `${' '.repeat(2 * count + 5)}${line}`);
      if (answer.failure !== null) return [`${first}  failed: ${answer.failure}`, ...findings].join('\n');
      const { predicted, probabilities, spread, set } = answer;
      const numbers = probabilities.map((value) => value.toFixed(4).padStart(classWidth));
      const sd = Math.max(...spread.sd)
        .toFixed(3)
        .padStart(5);
      const sets = set.length === 0 ? 'none: for a reader' : set.join(', ');
      return [
        `${first}  ${predicted.padEnd(classWidth)}  ${numbers.join('  ')}  ${sd}  ${sets}`,
        ...findings,
      ].join('\n');
    },
  };
}

/** Findings of one kind that are shown; files and pages have all. */
const MOST_OF_A_KIND = 6;

function findingLines({ findings }: Answer): string[] {
  const lines: string[] = [];
  for (const kind of new Set(findings.map((finding) => finding.kind))) {
    const own = findings.filter((finding) => finding.kind === kind);
    const most = own.length > MOST_OF_A_KIND ? 2 : MOST_OF_A_KIND;
    lines.push(...own.slice(0, most).map(({ message }) => `${kind}: ${message}`));
    if (own.length > most) lines.push(`${kind}: and ${own.length - most} more`);
  }
  return lines;
}
