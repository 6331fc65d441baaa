import { symlink, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { flatPng, writeTree } from '../testing/dataset.fixture.ts';
import { makePipe, testWithPipes } from '../testing/pipe.fixture.ts';
import { readSlice } from '../lungs/lung-pairs.ts';
import { readRows } from '../tables.ts';
import { readNifti } from './nifti/nifti.ts';
import { openSlices, readSliceFiles } from './slice-source.ts';

testWithPipes(
  'a pipe, a device and a folder among the slices are unreadable files; the others are read',
  async () => {
    const root = await writeTree({ '0.png': await flatPng(7), '3.png/': '', '4.png': '' });
    makePipe(join(root, '1.png'));
    await symlink('/dev/zero', join(root, '2.png'));
    await truncate(join(root, '4.png'), 2 ** 28 + 1);
    const files = await readSliceFiles([0, 1, 2, 3, 4, 5].map((k) => join(root, `${k}.png`)));
    expect(files.map(({ problem }) => problem)).toEqual([
      null,
      'is a pipe (FIFO), not a regular file',
      'is a device, not a regular file',
      'is a folder, not a regular file',
      'is a file of 268435457 bytes; at most 268435456 bytes are read for this use',
      'cannot be read (ENOENT)',
    ]);
    const source = await openSlices({ format: 'images', slices: [] }, files);
    await expect(source.decode(0)).resolves.toBeDefined();
    await expect(source.decode(1)).rejects.toThrow('is a pipe (FIFO), not a regular file');
  },
);

test('files that are too large together are not read', async () => {
  const names = ['a.dcm', 'b.dcm', 'c.dcm'];
  const root = await writeTree(Object.fromEntries(names.map((name) => [name, ''])));
  for (const name of names) await truncate(join(root, name), 2 ** 31); // sparse: they take no room
  const files = await readSliceFiles(names.map((name) => join(root, name)));
  const problem = `is not read: the 3 files of the scan have ${3 * 2 ** 31} bytes together, more than 4294967295`;
  expect(files).toEqual(names.map(() => ({ bytes: null, problem })));
});

testWithPipes('a pipe as a NIfTI file, a table and a labelled slice is refused at once', async () => {
  const root = await writeTree({});
  for (const [name, read] of [
    ['a.nii.gz', (path: string) => readNifti({ path })],
    ['patients.csv', readRows],
    ['list.xlsx', readRows],
    ['1.png', readSlice],
  ] as const)
    await expect(read(makePipe(join(root, name)))).rejects.toThrow(
      `${join(root, name)}: is a pipe (FIFO), not a regular file → `,
    );
});
