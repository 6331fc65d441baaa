// One scan in three formats, through index and store: the same volume.
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { flatPng, png, temporaryFolder, writeTree } from '../testing/dataset.fixture.ts';
import { readDatasetIndex } from '../layouts/dataset-index.ts';
import { dicomBytes, sliceElements, words } from './dicom/dicom.fixture.ts';
import { prepareDataset } from '../store/prepare-dataset.ts';
import { openVolumeStore } from '../store/volume-store.ts';

const [slices, height, width] = [5, 6, 8];
const grey = (z: number) => Uint8Array.from({ length: height * width }, (_, i) => (i * 5 + z * 40) % 256);
const hounsfield = (z: number) => [...grey(z)].map((value) => Math.round((value / 255) * 1500 - 1150));
const order = [0, 1, 2, 3, 4];

async function images(folder: string) {
  const files = order.map(async (z) => [
    `${folder}/${z}.png`,
    await png({ width, height, channels: 1, values: grey(z) }),
  ]);
  return Object.fromEntries(await Promise.all(files)) as Record<string, Uint8Array>;
}

/** Named against the order, without an ending; head first by their positions. */
function dicom(folder: string, series = '1.2.3', count = slices) {
  const files = order.slice(0, count).map((z) => {
    const elements = sliceElements(100 - 2 * z, {
      SeriesInstanceUID: series,
      Rows: height,
      Columns: width,
      RescaleIntercept: '0',
      PixelData: words(...hounsfield(z)),
    });
    return [`${folder}/${series}-${9 - z}`, dicomBytes(elements)];
  });
  return Object.fromEntries(files) as Record<string, Uint8Array>;
}

/** NIfTI-1 whose columns run to the patient's left, rows to the back, slices to the feet. */
function nifti() {
  const header = Buffer.alloc(352);
  header.writeInt32LE(348, 0);
  [3, width, height, slices, 1, 1, 1, 1].forEach((size, i) => header.writeInt16LE(size, 40 + 2 * i));
  header.writeInt16LE(4, 70); // int16
  header.writeInt16LE(16, 72);
  [1, 1, 1, 2].forEach((size, i) => header.writeFloatLE(size, 76 + 4 * i));
  header.writeFloatLE(352, 108);
  header.writeInt16LE(1, 254);
  [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, -2, 0].forEach((value, i) => header.writeFloatLE(value, 280 + 4 * i));
  header.write('n+1', 344);
  return gzipSync(Buffer.concat([header, ...order.map((z) => words(...hounsfield(z)))]));
}

const preparation = { depth: 8, height: 6, width: 8 };

async function prepared(root: string, options = preparation) {
  const index = await readDatasetIndex(root);
  const store = openVolumeStore(await temporaryFolder());
  const prepared = await prepareDataset({ index, preparations: [options], store, concurrency: 1 });
  const { findings } = prepared;
  const scans = prepared.scans[0]!;
  return { index, scans, store, findings: [...index.report.findings, ...findings] };
}

test('a folder of images, a DICOM series and a NIfTI file', async () => {
  const root = await writeTree({
    ...(await images('train/covid/ct_scan_0')),
    ...dicom('train/covid/ct_scan_1'),
    'train/covid/ct_scan_2.nii.gz': nifti(),
    'train/covid/ct_scan_3/volume.nii.gz': nifti(),
    'train/non-covid/ct_scan_0/0.png': await flatPng(3),
    'val/covid/ct_scan_0/0.png': await flatPng(4),
    'val/non-covid/ct_scan_0/0.png': await flatPng(5),
  });
  const { index, scans, store } = await prepared(root);
  const four = index.scans.filter(({ key }) => key.startsWith('train/covid/'));
  expect(four.map(({ name, format }) => [name, format])).toEqual([
    ['ct_scan_0', 'images'],
    ['ct_scan_1', 'dicom'],
    ['ct_scan_2', 'nifti'],
    ['ct_scan_3', 'nifti'],
  ]);
  const volumes = await Promise.all(
    scans.filter(({ key }) => key.startsWith('train/covid/')).map(({ volume }) => store.read(volume!)),
  );
  expect(volumes.slice(1).map(({ data }) => [...data])).toEqual(Array(3).fill([...volumes[0]!.data]));
  expect([...volumes[0]!.data.subarray(0, height * width)]).toEqual([...grey(0)]);
});

test('of several series the longest is taken, a damaged scan fails by name, neither in silence', async () => {
  const root = await writeTree({
    ...dicom('train/covid/ct_scan_0', '1.2.3', 3),
    ...dicom('train/covid/ct_scan_0', '1.2.4', 5),
    'train/covid/ct_scan_1.nii': nifti().subarray(0, 90),
    'train/non-covid/ct_scan_0/0.png': await flatPng(3),
    'val/covid/ct_scan_0/0.png': await flatPng(4),
    'val/non-covid/ct_scan_0/0.png': await flatPng(5),
    'train/non-covid/ct_scan_1/notes': 'DICM',
  });
  const { scans, findings } = await prepared(root);
  const of = (key: string) => scans.find((scan) => scan.key === key)!;
  expect(of('train/covid/ct_scan_0')).toMatchObject({ slices: 5, failure: null });
  expect(findings.filter(({ kind }) => kind === 'several-series')).toMatchObject([
    { path: join(root, 'train/covid/ct_scan_0'), message: expect.stringContaining('1.2.4') as string },
  ]);
  expect(of('train/covid/ct_scan_1')).toMatchObject({
    volume: null,
    failure: expect.stringContaining('ct_scan_1.nii') as string,
  });
  expect(of('train/non-covid/ct_scan_1').failure).toMatch(/holds no slice .* no DICOM file and no volume/);
});

/** A body with two lungs of so many pixels each, 40×40. */
const body = (lung: number) =>
  png({
    width: 40,
    height: 40,
    channels: 1,
    values: Uint8Array.from({ length: 1600 }, (_, i) => {
      const [x, y] = [i % 40, Math.floor(i / 40)];
      if (x < 3 || y < 3 || x > 36 || y > 36) return 20;
      return y > 15 && y < 24 && [10, 24].some((left) => x >= left && x < left + lung) ? 60 : 190;
    }),
  });

test('slices without lung are left out where that is asked for; where nearly none has lung, all stay', async () => {
  const lungs = [0, 0, 4, 6, 8, 8, 6, 4, 0, 0];
  const few = [0, 0, 4, 0, 0];
  const folder = async (name: string, sizes: number[]) =>
    Object.fromEntries(
      await Promise.all(sizes.map(async (lung, z) => [`${name}/${z}.png`, await body(lung)])),
    );
  const root = await writeTree({
    ...(await folder('train/covid/ct_scan_0', lungs)),
    ...(await folder('train/covid/ct_scan_1', few)),
    'train/non-covid/ct_scan_0/0.png': await flatPng(3),
    'val/covid/ct_scan_0/0.png': await flatPng(4),
    'val/non-covid/ct_scan_0/0.png': await flatPng(5),
  });
  const options = { depth: 6, height: 40, width: 40 };
  const all = await prepared(root, options);
  const lung = await prepared(root, { ...options, slices: 'lung' } as typeof options);
  const find = ({ scans }: typeof all, name: string) =>
    scans.find(({ key }) => key === `train/covid/${name}`)!;
  expect(find(lung, 'ct_scan_0').volume).not.toBe(find(all, 'ct_scan_0').volume);
  const { data } = await lung.store.read(find(lung, 'ct_scan_0').volume!);
  const dark = Array.from(
    { length: 6 },
    (_, z) => data.subarray(z * 1600, (z + 1) * 1600).filter((v) => v === 60).length,
  );
  expect(dark).toEqual([4, 6, 8, 8, 6, 4].map((size) => 2 * 8 * size));
  const reported = lung.findings
    .filter(({ kind }) => kind.includes('lung'))
    .map(({ kind, message }) => [kind, message]);
  expect(reported).toContainEqual([
    'slices-without-lung',
    '6 of 10 slices show lung; the others are left out',
  ]);
  expect(reported).toContainEqual(['too-few-lung-slices', '1 of 5 slices show lung; all slices are used']);
});
