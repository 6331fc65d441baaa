import { relative } from 'node:path';
import { dicomBytes, sliceElements } from '../readers/dicom/dicom.fixture.ts';
import { slices, writeTree } from '../testing/dataset.fixture.ts';
import { readDatasetIndex, type DatasetOptions } from './dataset-index.ts';

const read = (root: string, options: DatasetOptions = {}) =>
  readDatasetIndex(root, { layout: 'folders', ...options });
const split = { val: 0.25, test: 0.25, seed: 1 };

/** Names that must be ordinary class names. */
const HOSTILE = ['__proto__', 'constructor', 'toString', 'müde, "krank"', 'two words'];

test('split/class/scan: classes are the folders in the order of names, splits in any spelling', async () => {
  const root = await writeTree({
    ...slices('Training/stage10/a'),
    ...slices('Training/stage2/a'),
    ...slices('Training/healthy/a'),
    ...slices('valid/stage10/p1/series 1'),
    'valid/stage2/b.nii.gz': 'volume b',
    ...slices('valid/healthy/b'),
    ...slices('TEST/stage2/c'),
    ...slices('TEST/unknown/c'),
    'TEST/loose.nii': 'volume c',
    ...slices('masks/x'),
    'notes.txt': '',
    'valid/readme.md': '',
  });
  const { scans, classes, layout, splits, report } = await read(root);
  expect({ classes, layout, splits }).toEqual({
    classes: ['healthy', 'stage2', 'stage10'],
    layout: 'folders',
    splits: 'data',
  });
  expect(scans.map(({ key, label, name, patient }) => [key, label, name, patient])).toEqual([
    ['train/healthy/a', 0, 'healthy_a', null],
    ['train/stage2/a', 1, 'stage2_a', null],
    ['train/stage10/a', 2, 'stage10_a', null],
    ['val/healthy/b', 0, 'healthy_b', null],
    ['val/stage2/b', 1, 'stage2_b', null],
    ['val/stage10/p1/series 1', 2, 'p1_series_1', null],
    ['test/loose', null, 'loose', null],
    ['test/stage2/c', 1, 'c', null],
    ['test/unknown/c', null, 'unknown_c', null],
  ]);
  const found = report.findings.map(({ kind, path, message }) => [kind, relative(root, path), message]);
  expect(found.sort()).toEqual([
    ['ignored-file', '', '1 file outside any class folder: notes.txt'],
    ['ignored-file', 'valid', '1 file outside any class folder: readme.md'],
    ['ignored-folder', 'masks', 'is no split (train, val, test)'],
  ]);
});

test('class/scan: splits are made by patient; a folder between class and scan is the patient', async () => {
  const root = await writeTree({
    ...Object.fromEntries(
      ['sick', 'well'].flatMap((name) =>
        [1, 2, 3, 4].flatMap((p) =>
          ['a', 'b'].map((series) => [
            `${name}/${name} ${p}/${series}/IM0`,
            dicomBytes(
              sliceElements(10, {
                PatientID: `${name}${p}${series}`,
                SeriesInstanceUID: `${name}${p}${series}`,
              }),
            ),
          ]),
        ),
      ),
    ),
    'well/single.nii.gz': 'single',
    'well/empty/': '',
  });
  const { scans, classes, splits, report } = await read(root, { split });
  expect([classes, splits, scans.length]).toEqual([['sick', 'well'], 'recipe', 18]);
  for (const scan of scans) expect(scan.key).toMatch(/^(sick\/sick|well)/);
  const ofPatient = new Map<string, Set<string>>();
  for (const { patient, split } of scans)
    if (patient !== null) ofPatient.set(patient, (ofPatient.get(patient) ?? new Set()).add(split));
  expect(ofPatient.size).toBe(8);
  for (const used of ofPatient.values()) expect(used.size).toBe(1);
  expect(scans.find(({ key }) => key === 'well/empty')?.failure).toMatch(/no slice/);
  expect(report.findings.map(({ kind }) => kind)).toEqual([
    'no-slices',
    'patient-from-folder',
    'unknown-patient',
  ]);
  expect(report.findings[2]!.message).toBe(
    '2 scans without a patient, each split as a patient of its own: well/empty, well/single',
  );
});

test('patients.csv names the patients, with and without splits', async () => {
  const table = (rows: string[]) => ({ 'patients.csv': rows.join('\n') });
  const plain = await writeTree({
    ...slices('a/1'),
    ...slices('a/2'),
    ...slices('b/1'),
    ...slices('b/2'),
    ...table(['class,name,patient', 'a,1,P1', 'a,2,P2', 'b,1,P1', 'b,9,P9']),
  });
  const made = await read(plain, { split: { val: 0.5, test: 0, seed: 1 } });
  const of = (key: string) => made.scans.find((scan) => scan.key === key)!;
  expect(['a/1', 'a/2', 'b/1', 'b/2'].map((key) => of(key).patient)).toEqual(['P1', 'P2', 'P1', null]);
  expect(of('a/1').split).toBe(of('b/1').split);
  expect(made.report.findings.map(({ message }) => message)).toEqual([
    '1 scan in the table and not on disk: b/9',
    '1 scan without a patient, each split as a patient of its own: b/2',
  ]);
  const root = await writeTree({
    ...slices('train/a/1'),
    ...slices('train/b/1'),
    ...slices('val/a/1'),
    ...slices('val/b/1'),
    ...table(['split,class,name,patient', 'train,a,1,P1', 'validation,b,1,P1']),
  });
  await expect(read(root)).rejects.toThrow(
    /patients\.csv: a patient is in two splits: P1 \(train\/a\/1 and val\/b\/1\)/,
  );
  expect((await read(root, { allowLeaks: true })).report.findings[0]!.kind).toBe('patient-in-two-splits');
});

test('names that are properties of every object, and names with spaces, commas and quotes, are ordinary', async () => {
  const files = HOSTILE.flatMap((name) =>
    ['constructor', '__proto__', 'toString', 'x'].map((scan) => `${name}/${scan}`),
  );
  const root = await writeTree(Object.fromEntries(files.flatMap((file) => Object.entries(slices(file)))));
  const { scans, classes } = await read(root, { split });
  expect([...classes].sort()).toEqual([...HOSTILE].sort());
  expect(scans.map(({ key }) => key).sort()).toEqual(files.sort());
  expect(scans.every(({ label, key }) => key.startsWith(`${classes[label!]}/`))).toBe(true);
  expect(new Set(scans.map(({ name }) => name)).size).toBe(scans.length);
});

test('given classes decide labels and leave other folders out', async () => {
  const root = await writeTree({
    ...slices('b/1'),
    ...slices('a/1'),
    ...slices('b/2'),
    ...slices('a/2'),
    ...slices('other/1'),
  });
  const halves = { val: 0.5, test: 0, seed: 1 };
  const { scans, classes, report } = await read(root, { classes: ['b', 'a'], split: halves });
  expect(classes).toEqual(['b', 'a']);
  expect(scans.filter(({ key }) => key.startsWith('b/')).every(({ label }) => label === 0)).toBe(true);
  expect(scans).toHaveLength(4);
  expect(report.findings.map(({ kind, message }) => [kind, message])).toContainEqual([
    'ignored-folder',
    'is no class (b, a); its scans are left out',
  ]);
});

test('a composed and a decomposed umlaut are one class', async () => {
  const root = await writeTree({
    ...slices('train/m\u00fcde/1'),
    ...slices('train/wach/1'),
    ...slices('val/mu\u0308de/1'),
    ...slices('val/wach/1'),
  });
  expect((await read(root)).classes).toEqual(['m\u00fcde', 'wach']);
});

describe('refuses', () => {
  const mistakes: [string, Record<string, string>, DatasetOptions, RegExp][] = [
    [
      'no splits and no shares',
      { ...slices('a/1'), ...slices('b/1') },
      {},
      /does not say which .* → write the line "split: \{ val: 0\.2, test: 0\.2, seed: 1 \}" into the recipe/,
    ],
    [
      'one class',
      { ...slices('a/1'), ...slices('a/2') },
      { split },
      /all scans have the class a: training needs two classes or more/,
    ],
    [
      'no scan',
      { 'a/x.txt': '' },
      { split },
      /holds no scan in a class folder; it holds 1 \.txt file → lay it out as <root>\/<class>\/<scan>/,
    ],
    [
      'a class that val lacks',
      { ...slices('train/a/1'), ...slices('train/b/1'), ...slices('val/a/1') },
      {},
      /val has no usable scan of the class b/,
    ],
    [
      'an unknown layout',
      {},
      { layout: 'constructor' },
      /no layout "constructor" → choose one of cov19-ct-db, folders, table, unlabelled/,
    ],
    [
      'two spellings of a split with the same scan',
      { ...slices('val/a/1'), ...slices('valid/a/1'), ...slices('train/b/1') },
      {},
      /is the scan val\/a\/1, and so is/,
    ],
    [
      'the same files in two splits',
      { 'train/a/1/0.jpg': 'same', 'val/a/2/0.jpg': 'same', ...slices('train/b/1'), ...slices('val/b/2') },
      {},
      /two splits: train\/a\/1 and val\/a\/2 .*--allow-leaks/,
    ],
  ];
  test.each(mistakes.map(([title, files, options, message]) => ({ title, files, options, message })))(
    '$title',
    async ({ files, options, message }) => {
      const root = await writeTree(files);
      await expect(read(root, options)).rejects.toThrow(message);
      await expect(read(root, options)).rejects.toHaveProperty('name', 'UserError');
    },
  );
});

test('a preparation needs no splits; without class folders it reads any folder', async () => {
  const classes = await writeTree({ ...slices('a/1'), ...slices('b/1') });
  const labelled = await read(classes, { anyFolder: true });
  expect(labelled.scans.map(({ key, split, label }) => [key, split, label])).toEqual([
    ['a/1', 'test', 0],
    ['b/1', 'test', 1],
  ]);
  const plain = await read(await writeTree({ 'x.nii.gz': 'x' }), { anyFolder: true });
  expect(plain).toMatchObject({ layout: 'unlabelled', scans: [{ key: 'test/x', label: null }] });
  const broken = await writeTree({ ...slices('a/1'), 'patients.csv': 'who\nP1' });
  await expect(read(broken, { anyFolder: true })).rejects.toThrow(
    /patients\.csv: line 1: the header is 'who'/,
  );
});
