// Small tables as rows of text: CSV with commas, semicolons or tabs, and the first sheet of an XLSX file.
import { codeOf, MAX_BYTES, messageOf, readRegularFile, UserError } from '@ct-ensemble/core';
import { parse } from 'csv-parse/sync';
import { readSheet } from 'read-excel-file/node';
import { boundedXlsx } from './xlsx.ts';

export interface TableRow {
  /** Line in the file, from 1 (the header's). */
  line: number;
  cells: string[];
}

/** Bounds of a CSV table: COV19-CT-DB's largest, a line per slice, has less than 3 million lines of 12 cells. */
const CSV_BOUNDS = { lines: 4_000_000, cells: 60_000_000, charactersPerLine: 1_000_000 } as const;

/**
 * Every row that is not empty, cells trimmed. Throws a UserError if the file is missing, not a regular file or no such
 * table, or exceeds `CSV_BOUNDS` or `XLSX_BOUNDS`.
 */
export async function readRows(file: string): Promise<TableRow[]> {
  try {
    return file.toLowerCase().endsWith('.xlsx') ? await readXlsxRows(file) : await readCsvRows(file);
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (codeOf(error) === 'ENOENT')
      throw new UserError('there is no such file', {
        file,
        remedy: 'give the path of a table',
        cause: error,
      });
    throw new UserError(`cannot be read as a table (${messageOf(error)})`, {
      file,
      remedy: 'save it again as CSV (UTF-8) or XLSX',
      cause: error,
    });
  }
}

/** Positions of the columns with these names in the header, in any case; undefined if one is missing. */
export function columnsOf(header: TableRow | undefined, names: readonly string[]): number[] | undefined {
  const present = header?.cells.map((cell) => cell.toLowerCase()) ?? [];
  const columns = names.map((name) => present.indexOf(name.toLowerCase()));
  return columns.includes(-1) ? undefined : columns;
}

/** The UserError for a header that lacks columns. */
export function headerError(file: string, header: TableRow | undefined, wanted: string): UserError {
  const found = header === undefined ? 'the file is empty' : `the header is '${header.cells.join(';')}'`;
  return new UserError(`line ${header?.line ?? 1}: ${found}`, { file, remedy: `write the header ${wanted}` });
}

async function readCsvRows(file: string): Promise<TableRow[]> {
  const bytes = await readRegularFile(file, { maxBytes: MAX_BYTES.table });
  requireFewCells(bytes);
  const text = bytes.toString('utf8');
  const records = parse(text, {
    bom: true,
    delimiter: delimiterOf(text),
    info: true,
    max_record_size: CSV_BOUNDS.charactersPerLine,
    relax_column_count: true,
    skip_empty_lines: true,
    trim: true,
  }) as unknown as { record: string[]; info: { lines: number } }[];
  return records.map(({ record, info }) => ({ line: info.lines, cells: record })).filter(hasText);
}

/** Counts separators and line ends, within quotes too: an upper bound of the cells. */
function requireFewCells(bytes: Uint8Array) {
  let [lines, cells] = [1, 1];
  for (const byte of bytes) {
    if (byte === 0x0a) lines++;
    else if (byte === 0x0d || byte === 0x2c || byte === 0x3b || byte === 0x09) cells++;
  }
  if (lines > CSV_BOUNDS.lines || lines + cells > CSV_BOUNDS.cells)
    throw new Error(`it has ${lines} lines and ${lines + cells} cells, too many for a table of scans`);
}

/** The one of comma, semicolon and tab that the header has most often outside quotes; of equals the first. */
function delimiterOf(text: string): string {
  const header = text.split(/\r\n|\r|\n/).find((line) => line.trim() !== '') ?? '';
  const bare = header.replaceAll(/"[^"]*"/g, '');
  const count = (delimiter: string) => bare.split(delimiter).length;
  return [',', ';', '\t'].reduce((best, next) => (count(next) > count(best) ? next : best));
}

async function readXlsxRows(file: string): Promise<TableRow[]> {
  const sheet = await readSheet(
    Buffer.from(boundedXlsx(await readRegularFile(file, { maxBytes: MAX_BYTES.xlsx }))),
  );
  return sheet
    .map((row, i) => ({ line: i + 1, cells: row.map((cell) => (cell === null ? '' : String(cell).trim())) }))
    .filter(hasText);
}

function hasText(row: TableRow) {
  return row.cells.some((cell) => cell !== '');
}
