import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { readDatasetIndex } from '../layouts/dataset-index.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { flatPng, scanOf, temporaryFolder, testOnRealData } from '../testing/dataset.fixture.ts';
import { openScan } from '../volumes/opened-scan.ts';
import { prepareVolume } from '../volumes/preparation.ts';
import { openVolumeStore } from './volume-store.ts';

const preparation = { depth: 4, height: 8, width: 8 };
const goodScan = async () => scanOf(await Promise.all([10, 20, 30].map((value) => flatPng(value))));

test('prepared once, then found; the volume is that of prepareVolume', async () => {
  const scan = await goodScan();
  const store = openVolumeStore(join(await temporaryFolder(), 'new/store'));
  const first = await store.prepare(scan, { preparation });
  expect(first).toEqual({
    stored: {
      key: scan.key,
      group: null,
      label: 1,
      split: 'train',
      name: 'ct_scan_0',
      volume: expect.stringMatching(/^[0-9a-f]{64}$/),
      failure: null,
      slices: 3,
      kept: 3,
    },
    findings: [],
    fresh: true,
  });
  expect(await store.prepare(scan, { preparation })).toEqual({ ...first, fresh: false });
  expect(await store.read(first.stored.volume!)).toEqual((await prepareVolume(scan, preparation)).volume);
  const other = await store.prepare(scan, { preparation: { ...preparation, depth: 5 } });
  expect([other.fresh, other.stored.volume === first.stored.volume]).toEqual([true, false]);
});

test('findings and failures of the first run come back without decoding, under the names of the asking scan', async () => {
  const store = openVolumeStore(await temporaryFolder());
  const contents = [await flatPng(10), Buffer.from('broken'), await flatPng(10)];
  const [one, two] = [await scanOf(contents), await scanOf(contents, 'ct_scan_1')];
  const first = await store.prepare(one, { preparation });
  const second = await store.prepare(two, { preparation });
  expect([first.fresh, second.fresh]).toEqual([true, false]);
  expect(first.findings.map(({ kind }) => kind)).toEqual(['duplicate-slices', 'undecodable-slice']);
  expect(second.findings[1]?.path).toBe(two.slices[1]);
  expect(second.stored).toEqual({ ...first.stored, key: two.key, name: two.name, slices: 2, kept: 2 });

  const hopeless = await scanOf([Buffer.from('x')]);
  for (const fresh of [true, false]) {
    const result = await store.prepare(hopeless, { preparation });
    expect(result.stored).toMatchObject({
      volume: null,
      slices: 0,
      failure: expect.stringMatching(/none of its 1 slices/),
    });
    expect(result.fresh).toBe(fresh);
  }
});

test('a scan whose files have not changed is recalled without reading them; one that has, or whose volume has, is not', async () => {
  const scan = await goodScan();
  const store = openVolumeStore(await temporaryFolder());
  const options = { preparation };
  expect(await store.recall(scan, options)).toBeNull();
  const first = await store.prepare(scan, options);
  expect(await store.recall(scan, options)).toEqual({ ...first, fresh: false });
  expect(await store.recall(scan, { preparation: { ...preparation, depth: 5 } })).toBeNull();

  const [slice] = scan.slices;
  await writeFile(slice!, await readFile(slice!)); // the same bytes, at another time
  expect(await store.recall(scan, options)).toBeNull();
  expect(await store.prepare(scan, options)).toEqual({ ...first, fresh: false });
  expect(await store.recall(scan, options)).not.toBeNull();

  await truncate(join(store.folder, `${first.stored.volume}.npy`), 200);
  expect(await store.recall(scan, options)).toBeNull();
  await rm(slice!);
  expect((await store.prepare(scan, options)).stored.slices).toBe(2);
});

test('a scan that changes while it is prepared is read again the next time', async () => {
  const scan = await goodScan();
  const store = openVolumeStore(await temporaryFolder());
  const opened = await openScan(scan);
  await writeFile(scan.slices[0]!, await flatPng(220));
  const old = await store.prepare(scan, { preparation, opened });
  expect(await store.recall(scan, { preparation })).toBeNull();
  expect((await store.prepare(scan, { preparation })).stored.volume).not.toBe(old.stored.volume);
});

test('a file that could not be read is tried again the next time', async () => {
  const scan = await goodScan();
  const store = openVolumeStore(await temporaryFolder());
  const opened = await openScan(scan);
  opened.files[1] = { bytes: null, problem: 'cannot be read (EIO)' };
  await store.prepare(scan, { preparation, opened });
  expect(await store.recall(scan, { preparation })).toBeNull();
});

test('the record names the source of each slice of the volume', async () => {
  const store = openVolumeStore(await temporaryFolder());
  const { stored } = await store.prepare(await goodScan(), { preparation });
  expect(await store.record(stored.volume!)).toMatchObject({ slices: 3, dropped: [], sources: [0, 0, 1, 2] });
  await expect(store.record('0'.repeat(64))).rejects.toThrow(/is not in the store, or is damaged/);
});

test('a scan that failed in the index stays failed', async () => {
  const scan: ScanEntry = { ...(await goodScan()), slices: [], failure: 'the folder holds no slice' };
  const { stored, fresh } = await openVolumeStore(await temporaryFolder()).prepare(scan, { preparation });
  expect([stored.volume, stored.failure, fresh]).toEqual([null, 'the folder holds no slice', false]);
});

test.each([
  ['a volume cut short', (file: string) => truncate(`${file}.npy`, 200), true],
  ['an empty volume', (file: string) => truncate(`${file}.npy`, 0), true],
  [
    'a volume with one changed value',
    async (file: string) => {
      const bytes = await readFile(`${file}.npy`);
      bytes[bytes.length - 1]! ^= 1;
      await writeFile(`${file}.npy`, bytes);
    },
    true,
  ],
  ['a volume that is gone', (file: string) => rm(`${file}.npy`), true],
  ['a record cut short', (file: string) => truncate(`${file}.json`, 20), true],
  ['a record of another kind', (file: string) => writeFile(`${file}.json`, '{"sha256": 1}'), true],
  ['a record that is gone, as after a crash', (file: string) => rm(`${file}.json`), false],
])('%s is detected, and the volume is prepared again', async (_, damage, isReported) => {
  const scan = await goodScan();
  const store = openVolumeStore(await temporaryFolder());
  const { stored } = await store.prepare(scan, { preparation });
  const whole = await store.read(stored.volume!);
  await damage(join(store.folder, stored.volume!));
  const again = await store.prepare(scan, { preparation });
  expect(again.fresh).toBe(true);
  expect(again.stored).toEqual(stored);
  expect(again.findings.map(({ kind }) => kind)).toEqual(isReported ? ['damaged-store-file'] : []);
  expect(await store.read(stored.volume!)).toEqual(whole);
  expect((await store.prepare(scan, { preparation })).fresh).toBe(false);
});

test('reading what is absent or cut short names the file and the remedy', async () => {
  const store = openVolumeStore(await temporaryFolder());
  await expect(store.read('0'.repeat(64))).rejects.toThrow(
    /0\.npy: is not in the store → prepare the dataset again/,
  );
  const { stored } = await store.prepare(await goodScan(), { preparation });
  await truncate(join(store.folder, `${stored.volume}.npy`), 200);
  await expect(store.read(stored.volume!)).rejects.toThrow(
    /\.npy: is damaged: 72 grey values instead of 4 × 8 × 8/,
  );
});

test('two stores that prepare the same scan at once agree, and leave whole files only', async () => {
  const scan = await goodScan();
  const folder = await temporaryFolder();
  const stores = [openVolumeStore(folder), openVolumeStore(folder)];
  const results = await Promise.all(stores.map((store) => store.prepare(scan, { preparation })));
  const [volume, other] = results.map(({ stored }) => stored.volume!);
  expect(other).toBe(volume);
  expect((await readdir(folder)).sort()).toEqual([`${volume}.json`, `${volume}.npy`, 'seen']);
  expect(await stores[0]!.read(volume!)).toEqual((await prepareVolume(scan, preparation)).volume);
});

testOnRealData('a real scan: grey values of a chest, repeatable', async (root) => {
  const { scans } = await readDatasetIndex(root);
  const scan = scans.find(({ slices }) => slices.length < 12)!;
  const store = openVolumeStore(await temporaryFolder());
  const { stored } = await store.prepare(scan, { preparation: { depth: 16, height: 64, width: 64 } });
  expect([stored.failure, stored.slices]).toEqual([null, scan.slices.length]);
  const { data } = await store.read(stored.volume!);
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  // The mean over whole slices, decoded by sharp alone: resizing and nearest depth move it little.
  const means = await Promise.all(
    scan.slices.map(async (file) => (await sharp(file).greyscale().stats()).channels[0]!.mean),
  );
  expect(Math.abs(mean - means.reduce((a, b) => a + b) / means.length)).toBeLessThan(6);
});
