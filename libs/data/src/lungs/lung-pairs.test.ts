import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { flatPng, png, writeTree } from '../testing/dataset.fixture.ts';
import { readMaskedSlices } from './lung-pairs.ts';
import { niftiFile } from '../readers/nifti/nifti.fixture.ts';

/** A mask of 4 × 4 whose left half is lung. */
const half = (value = 255) =>
  png({
    width: 4,
    height: 4,
    channels: 1,
    values: Array.from({ length: 16 }, (_, i) => (i % 4 < 2 ? value : 0)),
  });
const left = [1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0];

test('slices, by patient: a folder, or the name but for its last number', async () => {
  const names = ['ID_0194_Z_0120', 'ID_0194_Z_0121', 'p7/3', '12', 'scan4'];
  const image = await flatPng(90, 4);
  const masks = await half();
  const root = await writeTree(
    Object.fromEntries(names.flatMap((name) => [[`images/${name}.png`, image], [`masks/${name}.png`, masks]])), // prettier-ignore
  );
  const { samples, leftOut, findings } = await readMaskedSlices(root, 4);
  expect(Object.fromEntries(samples.map(({ name, group }) => [name, group]))).toEqual({
    ID_0194_Z_0120: 'ID_0194',
    ID_0194_Z_0121: 'ID_0194',
    'p7/3': 'p7',
    12: '12',
    scan4: 'scan4',
  });
  expect([...samples[0]!.image]).toEqual(Array<number>(16).fill(90));
  expect([...samples[0]!.truth]).toEqual(left);
  expect([leftOut, findings]).toEqual([{}, []]);
});

test('a mask of 0 and 1 is read like one of 0 and 255; a pixel is lung where half of it is', async () => {
  const root = await writeTree({
    'images/a.png': await flatPng(0, 4),
    'masks/a.png': await half(1),
  });
  const [whole] = (await readMaskedSlices(root, 4)).samples;
  expect([...whole!.truth]).toEqual(left);
  const [shrunk] = (await readMaskedSlices(root, 2)).samples;
  expect([...shrunk!.truth]).toEqual([1, 0, 1, 0]);
});

/** Two slices of 2 × 3 in our order: i runs to the left, which is along a row. */
const volume = (values: number[], type?: 'uint8') =>
  niftiFile({ dims: [3, 2, 2], values, ...(type && { type }) });

async function pairOfVolumes(image: Buffer, mask: Buffer) {
  return writeTree({ 'images/case.nii.gz': gzipSync(image), 'masks/case.nii': mask });
}

test('volumes: Hounsfield units become grey, whatever is above 0 in the mask is lung', async () => {
  const root = await pairOfVolumes(
    volume([-1150, -1150, -1150, -1150, -1150, -1150, 350, 350, 350, -400, -400, -400]),
    volume([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2], 'uint8'),
  );
  const { samples } = await readMaskedSlices(root, 2);
  expect(samples.map(({ name, group }) => [name, group])).toEqual([
    ['case slice 0', 'case'],
    ['case slice 1', 'case'],
  ]);
  expect(samples.map(({ image }) => [...image])).toEqual([[0, 0, 0, 0], [255, 255, 128, 128]]); // prettier-ignore
  expect(samples.map(({ truth }) => [...truth])).toEqual([[0, 0, 0, 0], [1, 1, 1, 1]]); // prettier-ignore
});

test('a volume within 0 … 255 is taken as grey values, with a finding', async () => {
  const root = await pairOfVolumes(
    niftiFile({ dims: [2, 2, 4], values: Array.from({ length: 16 }, (_, i) => 77 + i) }),
    niftiFile({ dims: [2, 2, 4], values: Array<number>(16).fill(1) }),
  );
  const { samples, findings } = await readMaskedSlices(root, 2);
  expect([...samples[0]!.image]).toEqual([77, 78, 79, 80]);
  expect(findings).toMatchObject([{ kind: 'grey-volume', path: join(root, 'images/case.nii.gz') }]);
});

describe('refused by name', () => {
  const image = flatPng(90, 4);
  test.each([
    ['no image', { 'images/': '', 'masks/': '' }, /images: holds no image → lay them out as DIR\/images\/X/],
    ['no such folder', { 'masks/': '' }, /images: there is no such folder/],
    [
      'without the other half',
      { 'images/a.png': image, 'images/b.png': image, 'masks/a.png': image, 'masks/c.png': image },
      /1 image without mask: b; 1 mask without image: c/,
    ],
    [
      'other size',
      { 'images/a.png': image, 'masks/a.png': flatPng(0, 5) },
      /images\/a\.png: has 4×4 pixels, .*masks\/a\.png 5×5 → a mask has the size of its image/,
    ],
    [
      'other kind',
      { 'images/a.png': image, 'masks/a.nii.gz': volume([1]) },
      /images\/a\.png: is a slice, its mask a volume/,
    ],
    ['other file', { 'images/a.txt': 'x', 'masks/a.png': image }, /a\.txt: is neither a PNG or JPEG slice/],
    [
      'two of one name',
      { 'images/a.png': image, 'images/a.jpg': image, 'masks/a.png': image },
      /a\.png: .*a\.jpg has the same name/,
    ],
    [
      'not an image',
      { 'images/a.png': 'nothing', 'masks/a.png': image },
      /images\/a\.png: cannot be read \(.*\) → replace or remove it/,
    ],
    [
      'other number of slices',
      {
        'images/a.nii': volume(Array<number>(12).fill(-500)),
        'masks/a.nii': niftiFile({ dims: [3, 2, 1], values: Array<number>(6).fill(0) }),
      },
      /images\/a\.nii: has 2 slices, .*masks\/a\.nii has 1/,
    ],
  ])('%s', async (_name, files, message) => {
    const contents = await Promise.all(
      Object.entries(files).map(async ([path, content]) => [path, await content] as const),
    );
    const root = await writeTree(Object.fromEntries(contents));
    await expect(readMaskedSlices(root, 4)).rejects.toThrow(message);
  });
});

test('files that operating systems leave behind are passed over', async () => {
  const root = await writeTree({ 'images/a.png': await flatPng(90, 4), 'masks/a.png': await half() });
  const left = join(root, 'images', '.DS_Store');
  await mkdir(dirname(left), { recursive: true });
  await writeFile(left, 'x');
  expect((await readMaskedSlices(root, 4)).samples).toHaveLength(1);
});
