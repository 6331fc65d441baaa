// A folder that holds a data set already: complete, unfinished, or of other options.
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { makePhantoms } from './make.ts';

const PAIR = {
  seed: 7,
  size: 32,
  counts: {
    train: { covid: 1, 'non-covid': 0 },
    val: { covid: 0, 'non-covid': 0 },
    test: { covid: 0, 'non-covid': 1 },
  },
};

let root: string;
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), 'ct-ensemble-phantoms-'))));
afterAll(() => rm(root, { recursive: true, force: true }));

/** One hash over the names and contents of all files below a folder. */
async function hashOf(folder: string) {
  const names = (await readdir(join(root, folder), { recursive: true })).sort();
  const hash = createHash('sha256');
  for (const name of names) {
    const path = join(root, folder, name);
    hash.update(name);
    if ((await stat(path)).isFile()) hash.update(await readFile(path));
  }
  return hash.digest('hex');
}

test('a complete data set is kept as it is; after an interruption the data set is made anew and is complete', async () => {
  const folder = join(root, 'cut');
  const cut = (done: number) => {
    if (done === 1) throw new Error('cut');
  };
  await expect(makePhantoms({ folder, ...PAIR, onProgress: cut })).rejects.toThrow('cut');
  expect(await readdir(folder)).not.toContain('phantoms.json');
  await rm(join(folder, 'train', 'covid', 'ct_scan_0', '3.jpg'));
  expect((await makePhantoms({ folder, ...PAIR })).made).toBe(true);
  await makePhantoms({ folder: join(root, 'uncut'), ...PAIR });
  expect(await hashOf('cut')).toBe(await hashOf('uncut'));

  const before = (await stat(join(folder, 'phantoms.json'))).mtimeMs;
  expect((await makePhantoms({ folder, ...PAIR })).made).toBe(false);
  expect((await stat(join(folder, 'phantoms.json'))).mtimeMs).toBe(before);
});

test.each(['table', 'folders'] as const)(
  'a data set in the layout %s is replaced completely by one of other options, even after an interruption',
  async (layout) => {
    const folder = join(root, layout);
    const counts = { train: { a: 1, b: 0 }, val: { a: 0, b: 1 }, test: { a: 0, b: 0 } };
    await makePhantoms({ folder, seed: 1, size: 32, classes: ['a', 'b'], format: 'dicom', layout, counts });
    const cut = () => {
      throw new Error('cut');
    };
    await expect(makePhantoms({ folder, ...PAIR, onProgress: cut })).rejects.toThrow('cut');
    await makePhantoms({ folder, ...PAIR, layout: 'table' });
    await makePhantoms({ folder, ...PAIR });
    await makePhantoms({ folder: join(root, 'fresh'), ...PAIR });
    expect(await hashOf(layout)).toBe(await hashOf('fresh'));
  },
);

test('DICOM and NIfTI files of the same options have the same bytes', async () => {
  for (const format of ['dicom', 'nifti'] as const) {
    await makePhantoms({ folder: join(root, `${format}-a`), ...PAIR, format, layout: 'table' });
    await makePhantoms({ folder: join(root, `${format}-b`), ...PAIR, format, layout: 'table' });
    expect(await hashOf(`${format}-a`)).toBe(await hashOf(`${format}-b`));
  }
});
