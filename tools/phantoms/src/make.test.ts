import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import sharp from 'sharp';

import { makePhantoms } from './make.ts';

const SMALL = {
  seed: 7,
  size: 48,
  counts: {
    train: { covid: 2, 'non-covid': 2 },
    val: { covid: 1, 'non-covid': 1 },
    test: { covid: 1, 'non-covid': 1 },
  },
};
const TINY = {
  seed: 7,
  size: 32,
  counts: {
    train: { covid: 1, 'non-covid': 1 },
    val: { covid: 1, 'non-covid': 0 },
    test: { covid: 0, 'non-covid': 1 },
  },
};

interface Scan {
  split: string;
  class: string;
  name: string;
  slices: number;
  affectedFraction: number;
  grade: number | null;
}

let root: string;
beforeAll(async () => void (root = await mkdtemp(join(tmpdir(), 'ct-ensemble-phantoms-'))));
afterAll(() => rm(root, { recursive: true, force: true }));

const read = (...path: string[]) => readFile(join(root, ...path), 'utf8');
const lines = (text: string) => text.trimEnd().split('\n');
const recordOf = async (folder: string) =>
  JSON.parse(await read(folder, 'phantoms.json')) as { scans: Scan[] };

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

describe('a small data set', () => {
  let scans: Scan[];
  let progress: number[][];
  beforeAll(async () => {
    progress = [];
    const onProgress = (done: number, total: number) => void progress.push([done, total]);
    const result = await makePhantoms({ folder: join(root, 'small'), ...SMALL, onProgress });
    scans = (await recordOf('small')).scans;
    const slices = scans.reduce((sum, scan) => sum + scan.slices, 0);
    expect(result).toEqual({ made: true, scans: 8, slices });
  });

  const pathOf = (scan: Scan) =>
    scan.split === 'test' ? ['test', scan.name] : [scan.split, scan.class, scan.name];

  it('has the layout of COV19-CT-DB, and masks that are no split', async () => {
    expect((await readdir(join(root, 'small'))).sort()).toEqual([
      'masks',
      'patients.csv',
      'phantoms.json',
      'test',
      'test_truth.csv',
      'train',
      'train_partition_covid_categories.csv',
      'val_partition_covid_categories.csv',
      'validation',
    ]);
    for (const split of ['train', 'validation'])
      expect((await readdir(join(root, 'small', split))).sort()).toEqual(['covid', 'non-covid']);
    expect((await readdir(join(root, 'small', 'train', 'covid'))).sort()).toEqual(['ct_scan_0', 'ct_scan_1']);
    expect((await readdir(join(root, 'small', 'test'))).sort()).toEqual(['test_ct_scan_0', 'test_ct_scan_1']);
    expect((await readdir(join(root, 'small', 'masks'))).sort()).toEqual(['test', 'train', 'validation']);
    expect(progress).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((done) => [done, 8]));
  });

  it('counts slices from 0, each with a mask', async () => {
    for (const scan of scans) {
      const numbers = Array.from({ length: scan.slices }, (_, k) => k);
      const names = async (...below: string[]) =>
        (await readdir(join(root, 'small', ...below, ...pathOf(scan)))).sort();
      expect(await names()).toEqual(numbers.map((k) => `${k}.jpg`).sort());
      expect(await names('masks')).toEqual(numbers.map((k) => `${k}.png`).sort());
    }
  });

  it('writes 8-bit grey JPEG, and masks of 0 and 255 over the dark inside of the chest', async () => {
    for (const scan of scans) {
      const k = Math.floor(scan.slices / 2);
      const image = sharp(join(root, 'small', ...pathOf(scan), `${k}.jpg`));
      const { format, channels, depth, width, height } = await image.metadata();
      expect({ format, channels, depth, width, height }).toEqual({
        format: 'jpeg',
        channels: 1,
        depth: 'uchar',
        width: 48,
        height: 48,
      });
      const grey = await image.toColourspace('b-w').raw().toBuffer();
      const file = join(root, 'small', 'masks', ...pathOf(scan), `${k}.png`);
      const mask = await sharp(file).toColourspace('b-w').raw().toBuffer();
      expect(mask.length).toBe(48 * 48);
      expect(new Set(mask)).toEqual(new Set([0, 255]));
      const mean = (inside: boolean) => {
        const values = [...grey].filter((v, i) => (mask[i] === 255) === inside && (inside || v > 60));
        return values.reduce((a, b) => a + b, 0) / values.length;
      };
      // Lung, ill or not, lies below −350 HU on average; the tissue around it above −200 HU.
      expect(mean(true)).toBeLessThan(136);
      expect(mean(false)).toBeGreaterThan(161);
    }
  });

  it('lists grades, patients and the truth of the test scans as its record has them', async () => {
    const grade = (f: number) => (f < 0.1 ? 1 : f < 0.25 ? 2 : f < 0.5 ? 3 : 4);
    for (const scan of scans)
      expect(scan.grade).toBe(scan.class === 'covid' ? grade(scan.affectedFraction) : null);
    for (const scan of scans.filter((s) => s.class === 'non-covid')) expect(scan.affectedFraction).toBe(0);
    const graded = (split: string) =>
      scans.filter((s) => s.split === split && s.class === 'covid').map((s) => `${s.name};${s.grade}`);
    expect(lines(await read('small', 'train_partition_covid_categories.csv'))).toEqual([
      'Name;Category',
      ...graded('train'),
    ]);
    expect(lines(await read('small', 'val_partition_covid_categories.csv'))).toEqual([
      'Name;Category',
      ...graded('validation'),
    ]);
    const test = scans.filter((s) => s.split === 'test').sort((a, b) => (a.name < b.name ? -1 : 1));
    expect(lines(await read('small', 'test_truth.csv'))).toEqual([
      'name;class',
      ...test.map((s) => `${s.name};${s.class}`),
    ]);
    const patients = lines(await read('small', 'patients.csv'));
    expect(patients[0]).toBe('split,class,name,patient');
    expect(patients.slice(1).map((line) => line.replace(/,P\d{4}$/, ''))).toEqual([
      ...scans.filter((s) => s.split !== 'test').map((s) => `${s.split},${s.class},${s.name}`),
      ...test.map((s) => `test,,${s.name}`),
    ]);
  });
});

test('the same options give the same bytes, another seed others', async () => {
  await makePhantoms({ folder: join(root, 'a'), ...TINY });
  await makePhantoms({ folder: join(root, 'b'), ...TINY });
  expect(await hashOf('a')).toBe(await hashOf('b'));
  await makePhantoms({ folder: join(root, 'b'), ...TINY, seed: 8 });
  expect(await hashOf('a')).not.toBe(await hashOf('b'));
});

test('a data set that is there is left as it is; a cut run is made anew, and whole', async () => {
  const folder = join(root, 'cut');
  const cut = (done: number) => {
    if (done === 2) throw new Error('cut');
  };
  await expect(makePhantoms({ folder, ...TINY, onProgress: cut })).rejects.toThrow('cut');
  expect(await readdir(folder)).not.toContain('phantoms.json');
  await rm(join(folder, 'train', 'covid', 'ct_scan_0', '3.jpg'));
  expect((await makePhantoms({ folder, ...TINY })).made).toBe(true);
  await makePhantoms({ folder: join(root, 'uncut'), ...TINY });
  expect(await hashOf('cut')).toBe(await hashOf('uncut'));

  const before = (await stat(join(folder, 'phantoms.json'))).mtimeMs;
  expect((await makePhantoms({ folder, ...TINY })).made).toBe(false);
  expect((await stat(join(folder, 'phantoms.json'))).mtimeMs).toBe(before);
});

test('a folder of something else, a file, and options out of range are refused with one clear error', async () => {
  const folder = join(root, 'foreign');
  await mkdir(join(folder, 'train'), { recursive: true });
  await writeFile(join(folder, 'train', 'thesis.txt'), 'years of work');
  await expect(makePhantoms({ folder, ...TINY })).rejects.toThrow(
    /foreign: is not empty and holds no phantom/,
  );
  expect(await read('foreign', 'train', 'thesis.txt')).toBe('years of work');
  await expect(makePhantoms({ folder: join(folder, 'train', 'thesis.txt'), ...TINY })).rejects.toThrow(
    /thesis\.txt: is a file/,
  );
  const free = join(root, 'free');
  await expect(makePhantoms({ folder: free, ...TINY, seed: -1 })).rejects.toThrow(/seed is -1/);
  await expect(makePhantoms({ folder: free, ...TINY, size: 31 })).rejects.toThrow(/size is 31/);
  const counts = { ...TINY.counts, val: { covid: 1.5, 'non-covid': 0 } };
  await expect(makePhantoms({ folder: free, ...TINY, counts })).rejects.toThrow(/counts\.val\.covid is 1\.5/);
});
