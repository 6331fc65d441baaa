import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, sep } from 'node:path';

import sharp from 'sharp';

import { makePhantoms } from './make.ts';
import { planScans } from './plan.ts';
import { writeTables } from './tables.ts';

const SMALL = {
  seed: 7,
  size: 48,
  counts: {
    train: { covid: 2, 'non-covid': 2 },
    val: { covid: 1, 'non-covid': 1 },
    test: { covid: 1, 'non-covid': 1 },
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

  it('has the layout of COV19-CT-DB, and a folder of masks', async () => {
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
      // Lung, healthy or not, lies below −350 HU on average; the tissue around it above −200 HU.
      expect(mean(true)).toBeLessThan(136);
      expect(mean(false)).toBeGreaterThan(161);
    }
  });

  it('lists grades, patients and the classes of the test scans as in its record', async () => {
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

const PAIR = {
  seed: 7,
  size: 32,
  counts: {
    train: { covid: 1, 'non-covid': 0 },
    val: { covid: 0, 'non-covid': 0 },
    test: { covid: 0, 'non-covid': 1 },
  },
};

test('the default output has the recorded bytes', async () => {
  await makePhantoms({ folder: join(root, 'pair'), ...PAIR });
  const names = (await readdir(join(root, 'pair'), { recursive: true })).sort();
  const hash = createHash('sha256');
  for (const name of names) {
    const path = join(root, 'pair', name);
    if (!(await stat(path)).isFile()) continue;
    hash.update(`${name.replaceAll(sep, '/')}\n`);
    // PNG encoders differ between processors; the masks' pixels do not.
    const isMask = name.endsWith('.png');
    hash.update(await (isMask ? sharp(path).toColourspace('b-w').raw().toBuffer() : readFile(path)));
  }
  // Recorded with the version before classes, formats and layouts could be chosen, with sharp 0.35.5.
  expect(hash.digest('hex')).toBe('4bca747674032875c76d9a0cef893c57283dd63f814ea82a2b0076b5e3ab9ddb');
});

test('another seed gives other bytes', async () => {
  await makePhantoms({ folder: join(root, 'seed'), ...PAIR, seed: 8 });
  expect(await hashOf('seed')).not.toBe(await hashOf('pair'));
});

describe('three classes of DICOM series with a table', () => {
  const THREE = {
    seed: 3,
    size: 32,
    classes: ['normal', 'covid', 'tumor'],
    format: 'dicom',
    layout: 'table',
    counts: {
      train: { normal: 4, covid: 0, tumor: 0 },
      val: { normal: 0, covid: 1, tumor: 0 },
      test: { normal: 0, covid: 0, tumor: 1 },
    },
  } as const;
  let rows: string[][];
  beforeAll(async () => {
    await makePhantoms({ folder: join(root, 'three'), ...THREE });
    rows = lines(await read('three', 'scans.csv')).map((line) => line.split(','));
  });

  it('lists every scan with its label, patient, split and hospital, in the order of its path', async () => {
    const [header, ...body] = rows;
    expect(header).toEqual(['scan', 'label', 'patient', 'split', 'group']);
    const plan = planScans(THREE.seed, THREE.counts, THREE);
    const expected = plan.map((scan) => [
      scan.path,
      scan.class,
      scan.patient,
      scan.split === 'validation' ? 'val' : scan.split,
      scan.group,
    ]);
    expect(body).toEqual(expected.toSorted((a, b) => (a[0]! < b[0]! ? -1 : 1)));
    expect(body.map(([, label, , split]) => `${split} ${label}`).sort()).toEqual([
      'test tumor',
      ...Array.from({ length: 4 }, () => 'train normal'),
      'val covid',
    ]);
    expect(new Set(body.map(([scan]) => scan)).size).toBe(6);
  });

  it('has a folder per patient and series, of the files of a PACS export', async () => {
    for (const [scan, , patient] of rows.slice(1)) {
      expect(scan).toMatch(new RegExp(`^${patient}/SE000[12]$`));
      const files = (await readdir(join(root, 'three', scan!))).sort();
      expect(files).toEqual(files.map((_, i) => `IM${String(i + 1).padStart(4, '0')}`));
      const first = await readFile(join(root, 'three', scan!, 'IM0001'));
      expect(first.toString('latin1', 128, 132)).toBe('DICM');
      expect(first.includes(`${patient} `)).toBe(true);
    }
    const folders = (await readdir(join(root, 'three'))).filter((name) => /^P\d{4}$/.test(name));
    expect(folders.sort()).toEqual([...new Set(rows.slice(1).map(([, , patient]) => patient))].sort());
    // Six scans of five patients: one patient was examined twice.
    expect(folders).toHaveLength(5);
  });
});

test('the layout folders has a folder for each class of each split; scans are numbered at random', async () => {
  const counts = { train: { a: 1, b: 0 }, val: { a: 0, b: 1 }, test: { a: 1, b: 0 } };
  const options = {
    seed: 1,
    size: 32,
    classes: ['a', 'b'],
    layout: 'folders',
    format: 'nifti',
    counts,
  } as const;
  await makePhantoms({ folder: join(root, 'folders'), ...options });
  const files = (await readdir(join(root, 'folders'), { recursive: true })).map((name) =>
    name.replaceAll(sep, '/'),
  );
  const volumes = files.filter((name) => name.endsWith('.nii.gz')).sort();
  expect(volumes.map((name) => name.replace(/\d{4}/, 'N'))).toEqual([
    'test/a/scan_N.nii.gz',
    'train/a/scan_N.nii.gz',
    'val/b/scan_N.nii.gz',
  ]);
  expect(volumes.map((name) => /\d{4}/.exec(name)![0]).sort()).toEqual(['0001', '0002', '0003']);
  const patients = lines(await read('folders', 'patients.csv'));
  expect(patients[0]).toBe('split,class,name,patient');
  expect(patients.slice(1).map((line) => line.split(',').slice(0, 3).join('/'))).toEqual(
    volumes.map((name) => name.replace('.nii.gz', '')),
  );
  expect(files).not.toContain('masks');
});

test('without splits the table has no column split', async () => {
  const counts = { train: { a: 1, b: 0 }, val: { a: 0, b: 0 }, test: { a: 0, b: 1 } };
  const plan = planScans(1, counts, { classes: ['a', 'b'], layout: 'table' });
  const scans = plan.map((scan) => ({ ...scan, affectedFraction: 0, grade: null }));
  await writeTables(join(root, 'unsplit'), scans, { layout: 'table', split: false });
  const [header, ...rows] = lines(await read('unsplit', 'scans.csv'));
  expect(header).toBe('scan,label,patient,group');
  expect(rows.map((row) => row.split(',').length)).toEqual([4, 4]);
});

test('throws one UserError for a folder of other files, for a file and for options out of range', async () => {
  const folder = join(root, 'foreign');
  await mkdir(join(folder, 'train'), { recursive: true });
  await writeFile(join(folder, 'train', 'thesis.txt'), 'years of work');
  await expect(makePhantoms({ folder, ...PAIR })).rejects.toThrow(
    /foreign: is not empty and holds no phantom/,
  );
  expect(await read('foreign', 'train', 'thesis.txt')).toBe('years of work');
  await expect(makePhantoms({ folder: join(folder, 'train', 'thesis.txt'), ...PAIR })).rejects.toThrow(
    /thesis\.txt: is a file/,
  );
  const free = join(root, 'free');
  await expect(makePhantoms({ folder: free, ...PAIR, seed: -1 })).rejects.toThrow(/seed is -1/);
  await expect(makePhantoms({ folder: free, ...PAIR, size: 31 })).rejects.toThrow(/size is 31/);
  const counts = { ...PAIR.counts, val: { covid: 1.5, 'non-covid': 0 } };
  await expect(makePhantoms({ folder: free, ...PAIR, counts })).rejects.toThrow(/counts\.val\.covid is 1\.5/);
  const classes = (...names: string[]) => makePhantoms({ folder: free, seed: 1, classes: names });
  await expect(classes('one')).rejects.toThrow(/lists 1 name, at least 2/);
  await expect(classes(...'abcdefghi')).rejects.toThrow(/lists 9 names, but there are only 8 .* at most 8/);
  await expect(classes('a', '../b')).rejects.toThrow(/contains '\.\.\/b'/);
  await expect(classes('a', 'A')).rejects.toThrow(/contains 'A' twice/);
  await expect(makePhantoms({ folder: free, ...PAIR, split: false })).rejects.toThrow(/layout cov19-ct-db/);
  const missing = { ...PAIR, classes: ['a', 'b'] };
  await expect(makePhantoms({ folder: free, ...missing })).rejects.toThrow(/counts\.train\.a is undefined/);
});
