// Checks an XLSX file before it is parsed: a few hundred kilobytes of it can inflate to gigabytes, and one cell with a far
// address makes the parser fill everything before it.
import { Unzip, UnzipInflate, zipSync } from 'fflate';

/** Bounds of an XLSX table; a list of scans needs a small part of them. */
export const XLSX_BOUNDS = { inflatedBytes: 2 ** 24, files: 1000, rows: 100_000, columns: 100 } as const;

/**
 * Inflates the XML files of a workbook, at most as far as the bounds, and returns them as a ZIP archive without
 * compression. Thus the parser sees what was checked here and nothing else.
 * Throws an Error with the reason if a bound is exceeded or the archive is damaged.
 */
export function boundedXlsx(bytes: Uint8Array): Uint8Array {
  const files = inflatedFiles(bytes);
  if (files.size === 0) throw new Error('it is not an XLSX file: it has no XML file');
  for (const [name, content] of files) if (/(^|\/)worksheets\//i.test(name)) requireSmallSheet(content);
  return zipSync(Object.fromEntries(files), { level: 0 });
}

function inflatedFiles(bytes: Uint8Array): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  let [count, inflated] = [0, 0];
  const unzip = new Unzip((file) => {
    if (++count > XLSX_BOUNDS.files) throw new Error(`it holds more than ${XLSX_BOUNDS.files} files`);
    if (!/\.xml(\.rels)?$/.test(file.name)) return; // The parser reads no others.
    const parts: Uint8Array[] = [];
    file.ondata = (error, part, final) => {
      if (error !== null) throw error;
      inflated += part.length;
      if (inflated > XLSX_BOUNDS.inflatedBytes)
        throw new Error(`it inflates to more than ${XLSX_BOUNDS.inflatedBytes} bytes`);
      parts.push(part);
      if (final) files.set(file.name, Buffer.concat(parts));
    };
    file.start();
  });
  unzip.register(UnzipInflate);
  const step = 1 << 12; // of compressed bytes, so that at most 4 MB are inflated between two checks
  for (let at = 0; at < bytes.length; at += step) unzip.push(bytes.subarray(at, at + step));
  unzip.push(new Uint8Array(0), true);
  return files;
}

/** Looks at every `r="B12"` (a cell) and `r="12"` (a row), wherever it stands, and counts rows without one. */
function requireSmallSheet(content: Uint8Array) {
  const text = Buffer.from(content.buffer, content.byteOffset, content.length).toString('utf8');
  const fail = () => {
    throw new Error(`a sheet of it has more than ${XLSX_BOUNDS.rows} rows or ${XLSX_BOUNDS.columns} columns`);
  };
  const row = /<[\w:]*\brow\b/g;
  for (let rows = 0; row.test(text); rows++) if (rows === XLSX_BOUNDS.rows) fail();
  for (const [, address] of text.matchAll(/\br\s*=\s*["']([^"']*)["']/g)) {
    const parts = /^([A-Z]{0,3})(\d{1,7})$/.exec(address!);
    if (parts === null)
      throw new Error(`a sheet of it has a row or cell with the address ${address!.slice(0, 40)}`);
    const column = [...parts[1]!].reduce((number, letter) => number * 26 + letter.charCodeAt(0) - 64, 0);
    if (Number(parts[2]) > XLSX_BOUNDS.rows || column > XLSX_BOUNDS.columns) fail();
  }
}
