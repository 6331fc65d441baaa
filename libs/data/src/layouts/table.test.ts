import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dicomBytes, sliceElements } from '../readers/dicom/dicom.fixture.ts';
import { slices, temporaryFolder, writeTree } from '../testing/dataset.fixture.ts';
import { xlsx } from '../testing/xlsx.fixture.ts';
import { readDatasetIndex, type DatasetOptions } from './dataset-index.ts';
import type { ScanTable } from './layout.ts';

const series = (folder: string) => ({
  [`${folder}/IM0`]: dicomBytes(sliceElements(10, { PatientID: folder, SeriesInstanceUID: folder })),
  [`${folder}/IM1`]: dicomBytes(sliceElements(8, { PatientID: folder, SeriesInstanceUID: folder })),
});

/** Two classes in train and val, one test scan without a class; every format. */
const tree = () => ({
  ...series('p1/s1'),
  'p2/ct.nii.gz': 'p2',
  ...slices('p3/images'),
  ...series('p4/study/only'),
  'p5/enhanced.dcm': dicomBytes(sliceElements(9, { SeriesInstanceUID: '1.2.5' })),
});
const ROWS = [
  ['scan', 'label', 'patient', 'split', 'site', 'age'],
  ['p1/s1', 'sick', 'P1', 'train', 'A', '70'],
  ['p2/ct', 'well', 'P2', 'Training', 'B', '7'],
  ['p3/images', 'sick', 'P3', 'val', 'A', ''],
  ['p4', 'well', 'P4', 'validation', 'B', ''],
  ['p5/enhanced.dcm', '', '', 'test', '', ''],
];
const SCANS = [
  ['p1/s1', 'train', 0, 'P1', 'A', 'dicom', 2],
  ['p2/ct', 'train', 1, 'P2', 'B', 'nifti', 1],
  ['p3/images', 'val', 0, 'P3', 'A', 'images', 6],
  ['p4', 'val', 1, 'P4', 'B', 'dicom', 2],
  ['p5/enhanced.dcm', 'test', null, null, null, 'dicom', 1],
];

const csv = (rows: readonly (readonly string[])[], delimiter = ',') =>
  rows
    .map((row) =>
      row.map((cell) => (/[",;\t]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(delimiter),
    )
    .join('\n');

const read = (root: string, table: Partial<ScanTable> = {}, options: DatasetOptions = {}) =>
  readDatasetIndex(root, { layout: 'table', table: { file: join(root, 'scans.csv'), ...table }, ...options });
const shown = ({ scans }: Awaited<ReturnType<typeof read>>) =>
  scans.map(({ key, split, label, patient, group, format, slices }) => [
    key,
    split,
    label,
    patient,
    group,
    format,
    slices.length,
  ]);

test.each<[string, string, string | Uint8Array]>([
  ['CSV', 'scans.csv', csv(ROWS)],
  ['CSV with semicolons', 'scans.csv', csv(ROWS, ';')],
  ['TSV', 'scans.tsv', `\ufeff${csv(ROWS, '\t')}\r\n`],
  ['XLSX', 'scans.xlsx', xlsx(ROWS)],
])('%s: every format, classes in the order of names', async (_, name, content) => {
  const root = await writeTree({ ...tree(), [name]: content });
  const index = await read(root, { file: join(root, name) });
  expect(shown(index)).toEqual(SCANS);
  expect(index).toMatchObject({ layout: 'table', classes: ['sick', 'well'], splits: 'data' });
  expect(index.report.findings.map(({ kind, message }) => [kind, message])).toEqual([
    ['unused-column', 'columns not used: age'],
    ['unknown-patient', '1 scan without a patient: p5/enhanced.dcm'],
  ]);
});

test('neither the order of the rows nor the place of the data set changes a scan', async () => {
  const [header, ...rows] = ROWS;
  const root = await writeTree({ ...tree(), 'scans.csv': csv([header!, ...rows.reverse()]) });
  expect(shown(await read(root))).toEqual(SCANS);
  const moved = join(await temporaryFolder(), 'deeper', 'data');
  await mkdir(join(moved, '..'));
  await rename(root, moved);
  expect(shown(await read(moved))).toEqual(SCANS);
});

test('paths: absolute, with and without the ending, outside the data set, with backslashes', async () => {
  const outside = await writeTree(slices('x/far'));
  const root = await writeTree({
    'data/a.nii.gz': 'a',
    'data/b.nii': 'b',
    ...slices('near'),
    ...slices('data/c/d'),
  });
  const rows = [
    ['path', 'class', 'split'],
    ['a.nii', 'one', 'train'],
    [join(root, 'data/b'), 'two', 'train'],
    ['../near', 'one', 'val'],
    [join(outside, 'x/far'), 'two', 'val'],
    ['c\\d', 'one', 'test'],
  ];
  const file = join(root, 'table.csv');
  await writeTree({ 'table.csv': csv(rows) }, root);
  const { scans } = await read(join(root, 'data'), { file });
  const far = scans.find(({ name }) => name.endsWith('x_far'))!;
  expect(far.key).toMatch(/^\.\.\/.*\/x\/far$/);
  expect(scans.map(({ key }) => key).sort()).toEqual(['../near', far.key, 'a', 'b', 'c/d'].sort());
  expect(new Set(scans.map(({ name }) => name)).size).toBe(5);
});

test('columns by name; names that are properties of every object, commas, quotes and umlauts in every cell', async () => {
  const names = ['constructor', '__proto__', 'toString', 'a, "b"', 'Müller; Ä'];
  const rows = [
    ['Datei', 'Diagnose', 'Pat', 'Teil'],
    ...names.flatMap((name) =>
      ['train', 'val'].map((split) => [`${split}/${name}`, name, `${split} ${name}`, split]),
    ),
  ];
  const root = await writeTree({
    ...Object.assign({}, ...rows.slice(1).map(([path]) => slices(path!))),
    'scans.csv': csv(rows),
  });
  const columns = { scan: 'datei', label: 'Diagnose', patient: 'Pat', split: 'Teil' };
  const { scans, classes, report } = await read(root, { columns });
  expect([...classes].sort()).toEqual([...names].sort());
  expect(scans.map(({ key, label }) => [key, classes[label!]]).sort()).toEqual(
    rows
      .slice(1)
      .map(([path, label]) => [path, label])
      .sort(),
  );
  expect(report.findings).toEqual([]);
  expect(report.counts.train.perClass).toEqual([1, 1, 1, 1, 1]);
});

test('without a split column splits are made; scans without a label go to test with their patient', async () => {
  const rows = Array.from({ length: 24 }, (_, i) => [
    `s${i}`,
    i === 23 ? '' : `class ${i % 3}`,
    `P${i >> 1}`,
  ]);
  const root = await writeTree({
    ...Object.assign({}, ...rows.map(([path]) => slices(path!))),
    'scans.csv': csv([['scan', 'label', 'patient'], ...rows]),
  });
  const { scans, splits, report } = await read(root, {}, { split: { val: 0.25, test: 0.25, seed: 3 } });
  expect(splits).toBe('recipe');
  const of = (key: string) => scans.find((scan) => scan.key === key)!.split;
  expect([of('s22'), of('s23')]).toEqual(['test', 'test']);
  for (let i = 0; i < 24; i += 2) expect(of(`s${i}`)).toBe(of(`s${i + 1}`));
  expect(report.findings.map(({ message }) => message)).toEqual([
    '1 scan without a label, put into test with all scans of the patient: s23',
  ]);
});

test("the recipe's split is not used where the table has one, and that is reported", async () => {
  const root = await writeTree({ ...tree(), 'scans.csv': csv(ROWS) });
  const index = await read(root, {}, { split: { val: 0.2, test: 0.2, seed: 1 } });
  expect(shown(index)).toEqual(SCANS);
  expect(index.report.findings.map(({ kind }) => kind)).toContain('split-not-used');
});

test('scans without a row, rows twice and absent test scans are reported; the rest is read', async () => {
  const root = await writeTree({
    ...tree(),
    ...slices('extra/one'),
    'extra/two.nii.gz': 'two',
    'scans.csv': csv([
      ...ROWS,
      ['./p2/ct.nii.gz', 'well', 'P2', 'train', 'B', ''],
      ['gone', '', '', 'test', '', ''],
    ]),
  });
  const { scans, report } = await read(root);
  expect(scans).toHaveLength(6);
  expect(scans.at(-2)).toMatchObject({
    key: 'gone',
    failure: 'there is no such file or folder',
    split: 'test',
  });
  expect(report.findings.map(({ kind, message }) => [kind, message])).toEqual([
    ['unused-column', 'columns not used: age'],
    ['listed-twice', 'line 7: ./p2/ct.nii.gz is already in line 3, with the same cells'],
    ['unlisted-scan', `2 scans below ${root} without a row in the table, left out: extra/one, extra/two`],
    ['unknown-patient', '2 scans without a patient: gone, p5/enhanced.dcm'],
  ]);
});

test('a row that names a folder of several scans fails by name', async () => {
  const root = await writeTree({
    ...tree(),
    ...series('p6/a'),
    ...series('p6/b'),
    'scans.csv': csv([...ROWS, ['p6', 'sick', 'P6', 'test', '', '']]),
  });
  const { scans, report } = await read(root);
  expect(scans.find(({ key }) => key === 'p6')?.failure).toBe('holds 2 scans: a, b; a row names one of them');
  expect(report.counts.test.failed).toBe(1);
});

describe('refuses, by line', () => {
  const header = 'scan,label,patient,split';
  const good = 'p1/s1,sick,P1,train\np2/ct,well,P2,train\np3/images,sick,P3,val\np4,well,P4,val';
  const mistakes: [string, string, DatasetOptions, RegExp][] = [
    [
      'an unknown label',
      `${header}\n${good}`,
      { classes: ['sick', 'dead'] },
      /2 rows with an unknown label: line 3 'well', line 5 'well' → write one of the recipe's classes sick, dead/,
    ],
    [
      'no label in train',
      `${header}\n${good.replace('well', '')}`,
      {},
      /1 row without a label in train or val: line 3 'p2\/ct'/,
    ],
    [
      'an unknown split',
      `${header}\n${good.replace('val', 'dev')}`,
      {},
      /unknown split: line 4 'dev' → write train, val or test/,
    ],
    [
      'a split in some rows only',
      `${header}\n${good.replace(',val', ',')}`,
      {},
      /1 row without a split, while others have one: line 4 'p3\/images'/,
    ],
    [
      'a scan that does not exist',
      `${header}\n${good.replace('p4', 'p9')}`,
      {},
      /of scans that do not exist: line 5 'p9' → write paths relative to/,
    ],
    [
      'a scan with two labels',
      `${header}\n${good}\n./p2/ct.nii.gz,sick,P2,train`,
      {},
      /line 6: \.\/p2\/ct\.nii\.gz has the label 'sick' here and 'well' in line 3/,
    ],
    [
      'a patient in two splits',
      `${header}\n${good.replace('P3', 'P1')}`,
      {},
      /a patient is in two splits: P1 \(p1\/s1 and p3\/images\) .*--allow-leaks/,
    ],
    ['an empty scan', `${header}\n,sick,P1,train`, {}, /empty field scan: line 2/],
    [
      'no column of labels',
      'scan,diagnosis\np1/s1,sick',
      {},
      /line 1: there is no column label or class or category; the columns are scan, diagnosis → name the column with --label-column/,
    ],
    [
      'an absent column',
      `${header}\n${good}`,
      { table: { file: '', columns: { group: 'site' } } },
      /no column site; .*--group-column/,
    ],
    ['an empty file', '', {}, /line 1: there is no column scan or path; the file is empty/],
    ['no row', header, {}, /the table has no row/],
    [
      'one class',
      `${header}\np1/s1,sick,P1,train\np3/images,sick,P3,val`,
      {},
      /all scans have the class sick/,
    ],
    ['no splits and no shares', 'scan,label\np1/s1,sick\np2/ct,well', {}, /does not say which scans/],
  ];
  test.each(mistakes.map(([title, content, options, message]) => ({ title, content, options, message })))(
    '$title',
    async ({ content, options, message }) => {
      const root = await writeTree({ ...tree(), 'scans.csv': content });
      const table = { file: join(root, 'scans.csv'), columns: options.table?.columns ?? {} };
      const reading = readDatasetIndex(root, { ...options, layout: 'table', table });
      await expect(reading).rejects.toThrow(message);
      await expect(reading).rejects.toHaveProperty('name', 'UserError');
    },
  );

  test('more than ten rows are counted; no table at all; a table that is missing', async () => {
    const many = Array.from({ length: 13 }, (_, i) => `gone${i},sick,P${i},train`).join('\n');
    const root = await writeTree({ ...tree(), 'scans.csv': `${header}\n${good}\n${many}` });
    await expect(read(root)).rejects.toThrow(
      /13 rows of scans that do not exist: line 6 'gone0', .*'gone9' and 3 more/,
    );
    await expect(readDatasetIndex(root, { layout: 'table' })).rejects.toThrow(
      /needs a table of scans → name it with --labels/,
    );
    await expect(read(root, { file: join(root, 'no.csv') })).rejects.toThrow(
      /no\.csv: there is no such file/,
    );
  });
});

test('further columns with few values are groups of scans; names and numbers are not', async () => {
  const root = await writeTree(tree());
  const more = [['sex', 'scanner', 'note'], ['f', 'S1', 'x'], ['m', 'S1', ''], ['f', 'S2', ''], ['', 'S2', ''], ['m', 'S2', '']]; // prettier-ignore
  await writeFile(join(root, 'scans.csv'), csv(ROWS.map((row, i) => [...row, ...more[i]!])));
  const { scans, report } = await read(root);
  expect(scans.map(({ groups }) => groups)).toEqual([
    { sex: 'f', scanner: 'S1' },
    { sex: 'm', scanner: 'S1' },
    { sex: 'f', scanner: 'S2' },
    { scanner: 'S2' },
    { sex: 'm', scanner: 'S2' },
  ]);
  expect(report.findings.slice(0, 2).map(({ kind, message }) => [kind, message])).toEqual([
    ['group-column', 'columns taken for groups of scans, each with at most 12 values: sex, scanner'],
    ['unused-column', 'columns not used: age, note'],
  ]);
  const [, first, ...rest] = ROWS.map((row, i) => [...row, ...more[i]!]);
  const header = [...ROWS[0]!, ...more[0]!];
  await writeFile(
    join(root, 'scans.csv'),
    csv([header, first!, [...first!.slice(0, 6), 'm', 'S1', ''], ...rest]),
  );
  await expect(read(root)).rejects.toThrow("line 3: p1/s1 has 'm' in the column sex here and 'f' in line 2");
});
