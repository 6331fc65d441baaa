// Tables as text, CSV and JSON.
import { csvOf } from '@ct-ensemble/ensemble';
import { type Cell, cellText, type Column, intervalParts, type Table } from './table.ts';

/** Title, notes and aligned columns: texts to the left, numbers to the right. */
export function tableText({ title, notes, columns, rows }: Table): string {
  const cells = [
    columns.map((column) => column.title),
    ...rows.map((row) => columns.map(({ kind }, c) => cellText(row[c], kind))),
  ];
  const widths = columns.map((_, c) => Math.max(...cells.map((row) => [...row[c]!].length)));
  const pad = (text: string, c: number) => {
    const space = ' '.repeat(widths[c]! - [...text].length);
    return (columns[c]!.kind ?? 'text') === 'text' ? text + space : space + text;
  };
  const lines = cells.map((row) => row.map(pad).join('  ').trimEnd());
  const body = rows.length === 0 ? ['(none)'] : lines;
  return `${[title, ...notes, '', ...body].join('\n')}\n`;
}

/** All numbers in full, an interval in three columns. */
export function tableCsv({ columns, rows }: Table): string {
  const header = columns.flatMap(({ title, kind }) =>
    kind === 'interval' ? intervalParts.map((part) => title + part) : [title],
  );
  const lines = rows.map((row) => columns.flatMap(({ kind }, c) => values(row[c], kind)));
  return csvOf([header, ...lines.map((line) => line.map(textOf))]);
}

/** The rows as objects, keys as in CSV. */
export function tableJson({ id, title, notes, columns, rows }: Table) {
  const keys = (column: Column) =>
    column.kind === 'interval' ? intervalParts.map((part) => column.title + part) : [column.title];
  return {
    id,
    title,
    notes,
    rows: rows.map((row) =>
      Object.fromEntries(
        columns.flatMap((column, c) => {
          const all = values(row[c], column.kind);
          return keys(column).map((key, i) => [key, all[i] ?? null] as const);
        }),
      ),
    ),
  };
}

type Value = string | number | null;

function values(cell: Cell | undefined, kind: Column['kind']): Value[] {
  const isScore = typeof cell === 'object' && cell !== null;
  if (kind === 'interval') {
    return isScore
      ? [cell.estimate, ...(cell.interval ?? [null, null])]
      : [(cell ?? null) as Value, null, null];
  }
  if (isScore) return [cell.estimate];
  return [typeof cell === 'number' && !Number.isFinite(cell) ? null : (cell ?? null)];
}

const textOf = (value: Value) => (value === null ? '' : String(value));
