import { mkdir, rm, symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { readDatasetIndex } from './dataset-index.ts';
import { plainDataset, slices, testOnRealData, writeTree } from '../testing/dataset.fixture.ts';

const kinds = (findings: readonly { kind: string }[]) => findings.map(({ kind }) => kind).sort();

test('a plain dataset: order, labels, slices in numeric order, no finding', async () => {
  const root = await writeTree({
    ...plainDataset(),
    ...slices('train/covid/ct_scan_10', 12),
    ...slices('train/covid/ct_scan_9'),
  });
  const index = await readDatasetIndex(root);
  expect(index.scans.map(({ key, label }) => [key, label])).toEqual([
    ['train/covid/ct_scan_0', 1],
    ['train/covid/ct_scan_9', 1],
    ['train/covid/ct_scan_10', 1],
    ['train/non-covid/ct_scan_0', 0],
    ['val/covid/ct_scan_0', 1],
    ['val/non-covid/ct_scan_0', 0],
  ]);
  expect(index.classes).toEqual(['non-covid', 'covid']);
  expect(index.scans[2]?.slices.map((file) => basename(file))).toEqual(
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11].map((k) => `${k}.jpg`),
  );
  expect(index.report).toEqual({
    counts: {
      train: { perClass: [1, 3], unlabelled: 0, failed: 0 },
      val: { perClass: [1, 1], unlabelled: 0, failed: 0 },
      test: { perClass: [0, 0], unlabelled: 0, failed: 0 },
    },
    findings: [],
  });
});

test.each([
  ['Train/Covid', 'Train/Non-Covid', 'validation'],
  ['training/cov', 'training/non_cov', 'Val'],
  ['TRAIN/COVID', 'TRAIN/NonCovid', 'Validation'],
])('spelling variants %s, %s, %s', async (covid, nonCovid, val) => {
  const root = await writeTree({
    ...slices(`${covid}/ct_scan183`),
    ...slices(`${nonCovid}/CT-Scan-7`),
    ...slices(`${val}/${covid.split('/')[1]}/ct_scan_1`),
    ...slices(`${val}/${nonCovid.split('/')[1]}/ct_scan_1`),
  });
  const { scans, report } = await readDatasetIndex(root);
  expect(scans.map(({ key }) => key)).toEqual([
    'train/covid/ct_scan_183',
    'train/non-covid/ct_scan_7',
    'val/covid/ct_scan_1',
    'val/non-covid/ct_scan_1',
  ]);
  expect(kinds(report.findings)).toEqual(['spelling', 'spelling']);
});

test('test scans with and without class folders', async () => {
  const root = await writeTree({
    ...plainDataset(),
    ...slices('test/test_ct_scan_10'),
    ...slices('test/test_ct_scan_2'),
    ...slices('test/cov/ct_scan_3'),
  });
  const { scans, report } = await readDatasetIndex(root);
  expect(
    scans.filter(({ split }) => split === 'test').map(({ key, label, name }) => [key, label, name]),
  ).toEqual([
    ['test/covid/ct_scan_3', 1, 'ct_scan_3'],
    ['test/test_ct_scan_2', null, 'test_ct_scan_2'],
    ['test/test_ct_scan_10', null, 'test_ct_scan_10'],
  ]);
  expect(report.counts.test).toEqual({ perClass: [0, 1], unlabelled: 2, failed: 0 });
});

test('unexpected files and folders are reported and do not stop the reading', async () => {
  const scan = 'train/covid/ct_scan_0';
  const root = await writeTree({
    ...plainDataset(),
    '.DS_Store': '',
    'README.md': 'about',
    'old/x.txt': '',
    'train/.DS_Store': '',
    'train/unsure/ct_scan_1/0.jpg': 'x',
    'val/covid/stray.jpg': 'x',
    [`${scan}/._1.jpg`]: 'AppleDouble',
    [`${scan}/Thumbs.db`]: '',
    [`${scan}/notes.txt`]: '',
    [`${scan}/cover.jpg`]: 'a picture without a number',
    [`${scan}/7.jpg`]: 'seven, six is missing',
    [`${scan}/12.PNG`]: 'twelve, 8 to 11 are missing',
    [`${scan}/07.jpg`]: 'seven again',
    [`${scan}/more/0.jpg`]: 'x',
    ...slices('train/covid/ct_scan_1', 4),
    'train/covid/ct_scan_2/': '',
  });
  const { scans, report } = await readDatasetIndex(root);
  const [first, second, empty] = scans;
  expect(first?.slices.map((file) => basename(file))).toEqual([
    ...[0, 1, 2, 3, 4, 5].map((k) => `${k}.jpg`),
    '07.jpg',
    '7.jpg',
    '12.PNG',
  ]);
  expect(second?.failure).toBeNull();
  expect(empty).toMatchObject({
    key: 'train/covid/ct_scan_2',
    format: 'images',
    slices: [],
    failure: expect.stringMatching(/no slice/),
  });
  expect(report.counts.train).toEqual({ perClass: [1, 2], unlabelled: 0, failed: 1 });
  const found = report.findings.map(({ kind, path, message }) => [
    kind,
    path.slice(root.length + 1),
    message,
  ]);
  expect(found.sort()).toEqual(
    [
      ['ignored-folder', 'old', 'is no split (train, val, test)'],
      ['system-files', 'train', '1 system file ignored: .DS_Store'],
      ['ignored-folder', 'train/unsure', 'is no class (covid, non-covid)'],
      ['ignored-file', 'val/covid', '1 file outside any scan folder: stray.jpg'],
      ['system-files', scan, '2 system files ignored: ._1.jpg, Thumbs.db'],
      ['ignored-file', scan, '2 files not a slice (K.jpg or K.png): cover.jpg, notes.txt'],
      ['ignored-folder', scan, 'holds 1 folder: more'],
      ['missing-slices', scan, 'no slice 6, 8–11 between 0 and 12'],
      ['same-number', scan, 'more than one slice has the number of 7.jpg; all are kept'],
      ['few-slices', 'train/covid/ct_scan_1', 'has 4 slices only'],
      [
        'no-slices',
        'train/covid/ct_scan_2',
        expect.stringMatching(/^the folder holds no slice \(K.jpg or K.png\), no DICOM file and no volume/),
      ],
    ].sort(),
  );
});

test('linked folders are followed', async () => {
  const elsewhere = await writeTree(slices('ct_scan_5'));
  const root = await writeTree(plainDataset());
  await symlink(join(elsewhere, 'ct_scan_5'), join(root, 'train/covid/ct_scan_5'));
  const { scans } = await readDatasetIndex(root);
  expect(scans.find(({ key }) => key === 'train/covid/ct_scan_5')?.slices).toHaveLength(6);
});

describe('refuses', () => {
  test.each([
    [
      'two spellings of a scan',
      slices('train/covid/ct_scan0'),
      /ct_scan_?0: is the scan train\/covid\/ct_scan_0, and so is .*ct_scan_?0/,
    ],
    ['two spellings of a split', slices('validation/covid/ct_scan_0'), /is the scan val\/covid\/ct_scan_0/],
    [
      'a scan of the same bytes in two splits',
      { 'train/covid/ct_scan_1/0.jpg': 'same', 'val/covid/ct_scan_8/3.jpg': 'same' },
      /two splits: train\/covid\/ct_scan_1 and val\/covid\/ct_scan_8/,
    ],
    [
      'a patient in two splits',
      { 'patients.csv': 'split,class,name,patient\ntrain,covid,ct_scan0,P1\nval,covid,ct_scan_0,P1\n' },
      /patients\.csv: a patient is in two splits: P1 \(train\/covid\/ct_scan_0 and val\/covid\/ct_scan_0\) → .*--allow-leaks/,
    ],
    [
      'a table of patients without the columns',
      { 'patients.csv': 'split,name,patient\n' },
      /patients\.csv: line 1: the header is 'split;name;patient' → write the header split,class,name,patient/,
    ],
    [
      'an unknown split in it',
      { 'patients.csv': 'split,class,name,patient\ndev,covid,ct_scan_0,P1\n' },
      /patients\.csv: line 2, field split: 'dev' is no split/,
    ],
    [
      'two patients of one scan',
      { 'patients.csv': 'split,class,name,patient\ntrain,covid,a,P1\n\ntrain,covid,a,P2' },
      /patients\.csv: line 4, field patient: train\/covid\/a is of P2 here and of P1 above/,
    ],
  ] as [string, Record<string, string>, RegExp][])('%s', async (_, extra, message) => {
    const root = await writeTree({ ...plainDataset(), ...extra });
    await expect(readDatasetIndex(root)).rejects.toThrow(message);
    await expect(readDatasetIndex(root)).rejects.toHaveProperty('name', 'UserError');
  });

  test('a class without a usable scan', async () => {
    const root = await writeTree({ ...plainDataset() });
    const poor = await writeTree({ ...slices('train/covid/ct_scan_0'), 'train/non-covid/ct_scan_0/': '' });
    await expect(readDatasetIndex(poor)).rejects.toThrow(/train has no usable scan of the class non-covid/);
    await expect(readDatasetIndex(root)).resolves.toBeDefined();
  });

  test('a folder laid out otherwise, and no folder', async () => {
    const root = await writeTree({ 'images/a.jpg': '', ...slices('test/test_ct_scan_0') });
    await expect(readDatasetIndex(root)).rejects.toThrow(
      /no scan for training or validation; it holds 6 \.jpg files, .* lay it out as <root>\/\{train,val\}/,
    );
    await expect(readDatasetIndex(join(root, 'absent'))).rejects.toThrow(/absent: there is no such folder/);
    await expect(readDatasetIndex(join(root, 'images/a.jpg'))).rejects.toThrow(/is not a folder/);
  });
});

test('the same name in both classes and both splits is four scans; the same slices within a split are a finding', async () => {
  const root = await writeTree({
    ...plainDataset(),
    'train/covid/ct_scan_1/0.jpg': 'same',
    'train/non-covid/ct_scan_8/0.jpg': 'same',
    // Equal in number and size of files, not in bytes.
    'val/covid/ct_scan_8/0.jpg': 'emas',
  });
  const { scans, report } = await readDatasetIndex(root);
  expect(scans.filter(({ name }) => name === 'ct_scan_0')).toHaveLength(4);
  expect(report.findings.filter(({ kind }) => kind === 'same-scan').map(({ message }) => message)).toEqual([
    'the very same slices are train/covid/ct_scan_1, train/non-covid/ct_scan_8',
  ]);
});

describe('a patient and the same files in two splits', () => {
  const leaking = async (count: number) => {
    const files = Array.from({ length: count }, (_, i) => i);
    return writeTree({
      ...plainDataset(),
      'patients.csv': [
        'split,class,name,patient',
        ...['train', 'val'].flatMap((split) => files.map((i) => `${split},covid,s${i},P${i}`)),
        'train,covid,ct_scan_0,P0',
      ].join('\n'),
      ...Object.fromEntries(
        ['train', 'val'].flatMap((split) => files.map((i) => [`${split}/covid/s${i}/0.jpg`, `same ${i}`])),
      ),
    });
  };
  const pairs = (count: number) =>
    Array.from({ length: count }, (_, i) => `train/covid/s${i} and val/covid/s${i}`);

  test('are all named', async () => {
    const root = await leaking(2);
    await expect(readDatasetIndex(root)).rejects.toThrow(
      'a patient is in two splits: P0 (train/covid/ct_scan_0 and val/covid/s0); P1 (train/covid/s1 and val/covid/s1) →',
    );
    await rm(join(root, 'patients.csv'));
    await expect(readDatasetIndex(root)).rejects.toThrow(
      `the very same slices are in two splits: ${pairs(2).join('; ')} → remove`,
    );
  });

  test('more than ten are counted', async () => {
    const root = await leaking(13);
    await rm(join(root, 'patients.csv'));
    await expect(readDatasetIndex(root)).rejects.toThrow(`${pairs(10).join('; ')}; and 3 more →`);
  });

  test('are findings where that is allowed, one for each', async () => {
    const { scans, report } = await readDatasetIndex(await leaking(13), { allowLeaks: true });
    expect(scans).toHaveLength(30);
    const of = (kind: string) => report.findings.filter((finding) => finding.kind === kind);
    expect(of('patient-in-two-splits')).toHaveLength(13);
    expect(of('same-scan').map(({ message }) => message)).toEqual(
      pairs(13).map((pair) => `the very same slices are in two splits: ${pair}`),
    );
  });
});

test('a missing split is reported; train alone can be read', async () => {
  const root = await writeTree({ ...slices('train/covid/a'), ...slices('train/non-covid/a') });
  expect((await readDatasetIndex(root)).report.findings).toEqual([
    { kind: 'missing-split', path: root, message: 'holds no scan of val' },
  ]);
});

test('patients from patients.csv and from index.csv', async () => {
  const table =
    'split,class,name,patient\ntrain,Covid,ct_scan0,P1\nvalidation,covid,ct_scan_0,P2\ntrain,covid,ct_scan_99,P3\n';
  const perSlice =
    'split,label,scan,slice,patient_group\ntrain,covid,ct_scan_0,0,G1\ntrain,covid,ct_scan_0,1,G1\n';
  const one = await readDatasetIndex(await writeTree({ ...plainDataset(), 'patients.csv': table }));
  expect(one.scans.map(({ patient }) => patient)).toEqual(['P1', null, 'P2', null]);
  expect(one.report.findings.map(({ message }) => message)).toEqual([
    '1 scan in the table and not on disk: train/covid/ct_scan_99',
    '2 scans without a patient: train/non-covid/ct_scan_0, val/non-covid/ct_scan_0',
  ]);
  const two = await readDatasetIndex(await writeTree({ ...plainDataset(), 'index.csv': perSlice }));
  expect(two.scans.map(({ patient }) => patient)).toEqual(['G1', null, null, null]);
  const other = await readDatasetIndex(await writeTree({ ...plainDataset(), 'index.csv': 'a,b\n1,2\n' }));
  expect(kinds(other.report.findings)).toEqual(['unused-table']);
});

test('many folders stay quick', async () => {
  const root = await writeTree(plainDataset());
  for (let k = 1; k < 300; k++) await mkdir(join(root, `train/covid/ct_scan_${k}`));
  const start = performance.now();
  expect((await readDatasetIndex(root)).report.counts.train.failed).toBe(299);
  expect(performance.now() - start).toBeLessThan(5000);
});

testOnRealData('the real series: 24 + 56 in train, 6 + 17 in val, a patient for each', async (root) => {
  const { scans, report } = await readDatasetIndex(root);
  expect(report.counts).toEqual({
    train: { perClass: [56, 24], unlabelled: 0, failed: 0 },
    val: { perClass: [17, 6], unlabelled: 0, failed: 0 },
    test: { perClass: [0, 0], unlabelled: 0, failed: 0 },
  });
  expect(scans.every(({ patient }) => patient !== null)).toBe(true);
  expect(scans.reduce((sum, scan) => sum + scan.slices.length, 0)).toBe(2154); // lines of its index.csv less the header
});
