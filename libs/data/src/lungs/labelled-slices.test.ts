import { join } from 'node:path';
import { flatPng, png, writeTree } from '../testing/dataset.fixture.ts';
import { type LabelledSlicesOptions, readLabelledSlices } from './labelled-slices.ts';

const slice = await flatPng(90, 8);
const files = { 'ct_1/0.png': slice, 'ct_1/1.png': slice, 'ct_2/0.png': await flatPng(30, 8) };

async function read(table: string, options: Partial<LabelledSlicesOptions> = {}, more = {}) {
  const data = await writeTree({ ...files, ...more, 'labels.csv': table });
  return readLabelledSlices({ data, edge: 4, labels: join(data, 'labels.csv'), ...options });
}

test('a table by file: classes, groups, and what is left out', async () => {
  const { samples, leftOut } = await read(
    'class,file\nlung,ct_1/0.png\nedge,ct_1/1.png\nNon-Lung,ct_2/0.png\n',
  );
  expect(samples.map(({ name, group, truth }) => [name, group, ...truth])).toEqual([
    ['ct_1/0.png', 'ct_1', 1],
    ['ct_2/0.png', 'ct_2', 0],
  ]);
  expect([...samples[1]!.image]).toEqual(Array<number>(16).fill(30));
  expect(leftOut).toEqual({ edge: 1 });
});

test('a table by scan and slice, the ending found, and columns by other names', async () => {
  const plain = await read('scan;slice;class\nct_1;0;lung\nct_2;0;non-lung\n');
  expect(plain.samples.map(({ name }) => name)).toEqual(['ct_1/0.png', 'ct_2/0.png']);
  const other = await read(
    'where,patient,k,auto\nin,p,0,lung\nin,q,0,non-lung\n',
    { fileColumns: ['where', 'patient', 'k'], classColumn: 'auto' },
    { 'in/p/0.png': slice, 'in/q/0.png': slice },
  );
  expect(other.samples.map(({ group }) => group)).toEqual(['in/p', 'in/q']);
});

test('lung masks tell the class; slices with little lung are left out', async () => {
  const mask = (lung: number) =>
    png({ width: 20, height: 20, channels: 1, values: new Uint8Array(400).fill(255, 0, lung) });
  const image = await flatPng(90, 20);
  const data = await writeTree({
    'images/a_1.png': image,
    'images/a_2.png': image,
    'images/b_1.png': image,
    'masks/a_1.png': await mask(4),
    'masks/a_2.png': await mask(3),
    'masks/b_1.png': await mask(0),
  });
  const { samples, leftOut } = await readLabelledSlices({ data, edge: 4 });
  expect(samples.map(({ name, truth }) => [name, ...truth])).toEqual([['a_1', 1], ['b_1', 0]]); // prettier-ignore
  expect(leftOut).toEqual({ 'little lung': 1 });
});

test.each([
  [
    'columns',
    'scan,class\nct_1,lung\n',
    /labels\.csv: line 1: the header is 'scan;class' → write the header file or scan,slice, and class \(or name/,
  ],
  ['no class', 'file,class\nct_1/0.png,\n', /line 2: no class → write lung, non-lung or another word/],
  ['no slice', 'file,class\nct_9/0.png,lung\n', /line 2: there is no slice .*ct_9\/0\.png/],
  [
    'twice',
    'file,class\nct_1/0.png,lung\nct_1/0.png,edge\n',
    /line 3: ct_1\/0\.png is already listed in line 2/,
  ],
  ['one class', 'file,class\nct_1/0.png,lung\n', /labels\.csv: no slice is non-lung → a filter learns/],
])('refused by line: %s', async (_name, table, message) => {
  await expect(read(table)).rejects.toThrow(message);
});
