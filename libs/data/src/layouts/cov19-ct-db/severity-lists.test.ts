import { slices, writeTree } from '../../testing/dataset.fixture.ts';
import { xlsx } from '../../testing/xlsx.fixture.ts';
import { readDatasetIndex } from '../dataset-index.ts';
import { COMPETITION_TASKS } from './spelling.ts';

const names = (split: string, count: number) =>
  Object.assign({}, ...Array.from({ length: count }, (_, k) => slices(`${split}/covid/ct_scan_${k}`)));

const severityDataset = (): Record<string, string> => ({ ...names('train', 5), ...names('val', 4) });

const trainList = 'Name;Category\nct_scan_0;1\nct_scan_1;2\nct_scan2;3\nct_scan_3;4\n';
const valList = 'Name;Category\r\nct_scan_3;1\r\nct_scan_2;2\r\nct_scan_1;3\r\nct_scan_0;4\r\n';

test('categories 1 … 4 are labels 0 … 3; a scan or line without its counterpart is reported', async () => {
  const root = await writeTree({
    ...severityDataset(),
    ...slices('train/non-covid/ct_scan_0'),
    ...slices('test/test_ct_scan_1'),
    'train_partition_covid_categories.csv': `${trainList}ct_scan_77;2\nct_scan_1;2\n`,
    'val_partition_covid_categories.csv': `\ufeff${valList}`,
  });
  const { scans, classes, report } = await readDatasetIndex(root, { classes: COMPETITION_TASKS.severity });
  expect(classes).toEqual(['mild', 'moderate', 'severe', 'critical']);
  expect(scans.map(({ key, label }) => [key, label])).toEqual([
    ['train/covid/ct_scan_0', 0],
    ['train/covid/ct_scan_1', 1],
    ['train/covid/ct_scan_2', 2],
    ['train/covid/ct_scan_3', 3],
    ['val/covid/ct_scan_0', 3],
    ['val/covid/ct_scan_1', 2],
    ['val/covid/ct_scan_2', 1],
    ['val/covid/ct_scan_3', 0],
    ['test/test_ct_scan_1', null],
  ]);
  expect(report.counts.train.perClass).toEqual([1, 1, 1, 1]);
  expect(report.findings.map(({ kind, message }) => [kind, message])).toEqual([
    ['listed-twice', 'line 7: ct_scan_1 is already in line 3, with the same category'],
    ['unlisted-scan', '1 covid scan of train not in the list, left out: ct_scan_4'],
    ['missing-scan', 'line 6: ct_scan_77 has no folder among the covid scans of train'],
  ]);
});

test('lists as XLSX, category as number and as text', async () => {
  const root = await writeTree({
    ...severityDataset(),
    'train_partition_covid_categories.xlsx': xlsx([
      ['Name', 'Category'],
      ['ct_scan_0', 4],
      ['ct_scan_1', 3],
      ['ct_scan_2', '2'],
      ['ct_scan_3', 1],
    ]),
    'validation_partition_covid_categories.csv': valList,
  });
  const { scans } = await readDatasetIndex(root, { classes: COMPETITION_TASKS.severity });
  expect(scans.slice(0, 4).map(({ label }) => label)).toEqual([3, 2, 1, 0]);
});

describe('refuses a list, by file, line and field', () => {
  const header = 'Name;Category\n';
  test.each([
    [
      'a bad header',
      'scan;grade\nct_scan_0;1\n',
      /categories\.csv: line 1: the header is 'scan;grade' → write the header Name;Category/,
    ],
    ['an empty file', '', /categories\.csv: line 1: the file is empty/],
    [
      'a category out of range',
      `${header}ct_scan_0;1\nct_scan_1;5\n`,
      /line 3, field Category: '5' is no category → write 1, 2, 3 or 4/,
    ],
    ['no category', `${header}ct_scan_0\n`, /line 2, field Category: '' is no category/],
    ['no name', `${header};2\n`, /line 2, field Name: is empty/],
    [
      'a contradiction',
      `${header}ct_scan_0;1\nct_scan0;2\n`,
      /line 3, field Category: ct_scan0 has category 2 \(moderate\) here and mild in line 2/,
    ],
    ['broken quotes', `${header}"ct_scan_0;1\n`, /categories\.csv: cannot be read as a table/],
  ])('%s', async (_, list, message) => {
    const root = await writeTree({
      ...severityDataset(),
      'train_partition_covid_categories.csv': list,
      'val_partition_covid_categories.csv': valList,
    });
    await expect(readDatasetIndex(root, { classes: COMPETITION_TASKS.severity })).rejects.toThrow(message);
    await expect(readDatasetIndex(root, { classes: COMPETITION_TASKS.severity })).rejects.toHaveProperty(
      'name',
      'UserError',
    );
  });

  test('what is no workbook, and a bad line in one', async () => {
    const list = 'train_partition_covid_categories.xlsx';
    const broken = await writeTree({ ...severityDataset(), [list]: 'not a zip' });
    await expect(readDatasetIndex(broken, { classes: COMPETITION_TASKS.severity })).rejects.toThrow(
      /categories\.xlsx: cannot be read as a table/,
    );
    const bad = await writeTree({
      ...severityDataset(),
      [list]: xlsx([
        ['Name', 'Category'],
        ['ct_scan_0', 1],
        ['ct_scan_1', 7],
      ]),
    });
    await expect(readDatasetIndex(bad, { classes: COMPETITION_TASKS.severity })).rejects.toThrow(
      /xlsx: line 3, field Category: '7'/,
    );
  });

  test('no list', async () => {
    const root = await writeTree(severityDataset());
    await expect(readDatasetIndex(root, { classes: COMPETITION_TASKS.severity })).rejects.toThrow(
      /no list of the severity categories of train → add train_partition_covid_categories\.csv/,
    );
  });

  test('a class that no listed scan has', async () => {
    const root = await writeTree({
      ...severityDataset(),
      'train_partition_covid_categories.csv': trainList,
      'val_partition_covid_categories.csv': valList.replace('ct_scan_0;4', 'ct_scan_0;3'),
    });
    await expect(readDatasetIndex(root, { classes: COMPETITION_TASKS.severity })).rejects.toThrow(
      /val has no usable scan of the class critical/,
    );
  });
});
