import { strToU8, zipSync } from 'fflate';
import { truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { readRows } from './tables.ts';
import { writeTree } from './testing/dataset.fixture.ts';

const main = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
const office = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
const packages = 'http://schemas.openxmlformats.org/package/2006';

/** A workbook with one sheet of these rows, after ECMA-376. */
function workbook(rows: string | Uint8Array, others: Record<string, Uint8Array> = {}): Uint8Array {
  const sheet = [
    strToU8(`<worksheet xmlns="${main}"><sheetData>`),
    rows,
    strToU8('</sheetData></worksheet>'),
  ];
  return zipSync({
    '[Content_Types].xml': strToU8(
      `<Types xmlns="${packages}/content-types"><Default Extension="xml" ContentType="application/xml"/></Types>`,
    ),
    'xl/workbook.xml': strToU8(
      `<workbook xmlns="${main}" xmlns:r="${office}"><sheets><sheet name="S" sheetId="1" r:id="rId1"/></sheets></workbook>`,
    ),
    'xl/_rels/workbook.xml.rels': strToU8(
      `<Relationships xmlns="${packages}/relationships"><Relationship Id="rId1" Type="${office}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>`,
    ),
    'xl/worksheets/sheet1.xml': Buffer.concat(
      sheet.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)),
    ),
    ...others,
  });
}

async function rowsOf(content: Uint8Array) {
  const root = await writeTree({ 'list.xlsx': content });
  return (await readRows(join(root, 'list.xlsx'))).map(({ cells }) => cells);
}

test('a workbook comes through unchanged, with pictures and other parts that are not read', async () => {
  const rows =
    '<row r="2"><c r="A2"><v>1</v></c><c r="C2"><v>2</v></c></row><row r="9"><c r="B9"><v>3</v></c></row>';
  const picture = { 'xl/media/image1.png': new Uint8Array(17e6) };
  expect(await rowsOf(workbook(rows, picture))).toEqual([
    ['1', '', '2'],
    ['', '3', ''],
  ]);
});

test.each([
  [
    'that inflates to 17 MB',
    Buffer.alloc(17e6, '<row r="1"><c r="A1"><v>1</v></c></row>'),
    /it inflates to more than 16777216 bytes/,
  ],
  ['with a cell a billion rows down', '<row><c r="A999999999"><v>1</v></c></row>', /the address A999999999/],
  [
    'with a row ten million down',
    '<row r="9999999"><c><v>1</v></c></row>',
    /more than 100000 rows or 100 columns/,
  ],
  [
    'with a cell far to the right',
    '<row r="1"><c r="XFD1"><v>1</v></c></row>',
    /more than 100000 rows or 100 columns/,
  ],
  [
    'with an address in entities',
    '<row r="&#57;999999999"><c><v>1</v></c></row>',
    /the address &#57;999999999/,
  ],
  ['with many rows without numbers', '<row/>'.repeat(100_001), /more than 100000 rows or 100 columns/],
])('a workbook %s is refused', async (_, rows, message) => {
  const content = workbook(rows);
  expect(content.length).toBeLessThan(500_000);
  await expect(rowsOf(content)).rejects.toThrow(message);
});

test('a workbook of too many files, one too large and one that is no archive are refused', async () => {
  const many = Object.fromEntries(Array.from({ length: 1001 }, (_, k) => [`f${k}`, new Uint8Array(1)]));
  await expect(rowsOf(zipSync(many))).rejects.toThrow(/list\.xlsx: .*it holds more than 1000 files/);
  await expect(rowsOf(Buffer.from('no archive'))).rejects.toThrow(/list\.xlsx: .*it is not an XLSX file/);
  const root = await writeTree({ 'list.xlsx': '' });
  await truncate(join(root, 'list.xlsx'), 2 ** 24 + 1);
  await expect(readRows(join(root, 'list.xlsx'))).rejects.toThrow(/is a file of 16777217 bytes; at most/);
});

test.each([
  ['four million lines', '\n'.repeat(4_000_000), /4000001 lines .* too many for a table of scans/],
  ['sixty million cells', ';'.repeat(60_000_000), /60000002 cells, too many/],
  ['a line of a million characters', `a;${'b'.repeat(1_000_001)}\n`, /Max Record Size/],
])('a CSV table of %s is refused', async (_, text, message) => {
  const root = await writeTree({ 'patients.csv': text });
  await expect(readRows(join(root, 'patients.csv'))).rejects.toThrow(message);
});
