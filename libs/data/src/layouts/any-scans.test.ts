// Scans are found wherever a person points.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findScans } from './any-scans.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-any-'));
  for (const scan of ['many/b 2', 'many/b 10', 'many/deep/c']) {
    await mkdir(join(folder, scan), { recursive: true });
    for (const k of [0, 1, 2]) await writeFile(join(folder, scan, `${k}.jpg`), 'x');
  }
  await mkdir(join(folder, 'many/empty'));
  await writeFile(join(folder, 'many/v.nii.gz'), 'x');
  await writeFile(join(folder, 'note.txt'), 'text');
  await writeFile(join(folder, 'table.csv'), 'path,other\nmany/b 2,1\nmany/v.nii.gz,2\nmissing,3\n');
  await writeFile(join(folder, 'bad.csv'), 'name\na\n');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const found = async (path: string) =>
  (await findScans(path)).scans.map(({ key, format, slices, failure }) => ({
    key: key.replace(`${folder}/`, ''),
    format,
    slices: slices.length,
    failed: failure !== null,
  }));

test('a folder of many scans: sorted with numbers as numbers; what is no scan is a failed one', async () => {
  expect(await found(join(folder, 'many'))).toEqual([
    { key: 'many/b 2', format: 'images', slices: 3, failed: false },
    { key: 'many/b 10', format: 'images', slices: 3, failed: false },
    { key: 'many/deep/c', format: 'images', slices: 3, failed: false },
    { key: 'many/empty', format: 'images', slices: 0, failed: true },
    { key: 'many/v.nii.gz', format: 'nifti', slices: 1, failed: false },
  ]);
});

test('one scan: a folder of slices, with or without a slash at its end, or a volume file', async () => {
  for (const path of ['many/b 2', 'many/b 2/'])
    expect(await found(join(folder, path))).toEqual([
      { key: 'many/b 2', format: 'images', slices: 3, failed: false },
    ]);
  expect(await found(join(folder, 'many/v.nii.gz'))).toMatchObject([{ format: 'nifti', slices: 1 }]);
});

test('a path that does not exist, and a file that is no scan, are failed scans', async () => {
  const [missing] = (await findScans(join(folder, 'nowhere'))).scans;
  expect(missing!.failure).toBe('there is no such file or folder');
  const [note] = (await findScans(join(folder, 'note.txt'))).scans;
  expect(note!.failure).toMatch(/is neither a folder nor a volume/);
});

test('a table: its rows in order, paths relative to its folder', async () => {
  expect(await found(join(folder, 'table.csv'))).toEqual([
    { key: 'many/b 2', format: 'images', slices: 3, failed: false },
    { key: 'many/v.nii.gz', format: 'nifti', slices: 1, failed: false },
    { key: 'missing', format: 'images', slices: 0, failed: true },
  ]);
  await expect(findScans(join(folder, 'bad.csv'))).rejects.toThrow(/with a column scan or path/);
});
