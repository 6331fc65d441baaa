// Which files of a folder are the scan: what most of them are. The rest is reported.
import { join } from 'node:path';
import { dicomBytes, sliceElements } from '../readers/dicom/dicom.fixture.ts';
import { flatPng, writeTree } from '../testing/dataset.fixture.ts';
import { readDatasetIndex } from './dataset-index.ts';
import { listFolder } from './listing.ts';
import { readScanFolder } from './scan-folder.ts';

const dicom = (count: number, SeriesInstanceUID = '1.2.3') =>
  Object.fromEntries(
    Array.from({ length: count }, (_, z) => [`IM${z}`, dicomBytes(sliceElements(z, { SeriesInstanceUID }))]),
  );
const images = async (...names: string[]) =>
  Object.fromEntries(await Promise.all(names.map(async (name, i) => [name, await flatPng(i)] as const)));
const volume = (name: string) => ({ [name]: Uint8Array.of(1, 2, 3) });

async function scanOf(files: Record<string, Uint8Array>) {
  const folder = await writeTree(files);
  const { findings, slices, ...scan } = await readScanFolder(folder, await listFolder(folder));
  return {
    ...scan,
    files: slices.map((path) => path.slice(folder.length + 1)),
    findings: findings.map(({ kind, message }) => `${kind}: ${message}`),
  };
}

test('a preview picture and a mask among DICOM files', async () => {
  const files = { ...dicom(6), ...(await images('preview_1.png')), ...volume('mask.nii.gz') };
  expect(await scanOf(files)).toEqual({
    format: 'dicom',
    failure: null,
    files: ['IM0', 'IM1', 'IM2', 'IM3', 'IM4', 'IM5'],
    findings: ['ignored-file: 2 files not DICOM: mask.nii.gz, preview_1.png'],
  });
});

test('a DICOM file among images', async () => {
  const files = { ...dicom(1), ...(await images('1.png', '2.png', '3.png', '4.png', '5.png')) };
  expect(await scanOf(files)).toMatchObject({
    format: 'images',
    files: ['1.png', '2.png', '3.png', '4.png', '5.png'],
    findings: ['ignored-file: 1 file not a slice (K.jpg or K.png): IM0'],
  });
});

test('pictures beside a volume', async () => {
  const files = { ...volume('ct.nii.gz'), ...(await images('axial_1.png', 'axial_2.png')) };
  expect(await scanOf(files)).toMatchObject({ format: 'nifti', files: ['ct.nii.gz'], failure: null });
});

test('a volume and its mask', async () => {
  for (const mask of ['ct_mask.nii.gz', 'mask.nii', 'ct-seg.nii.gz'])
    expect(await scanOf({ ...volume('ct.nii.gz'), ...volume(mask) })).toEqual({
      format: 'nifti',
      failure: null,
      files: ['ct.nii.gz'],
      findings: [`ignored-file: 1 file not a volume or a mask of it: ${mask}`],
    });
  expect(await scanOf({ ...volume('a.nii'), ...volume('b_mask.nii') })).toMatchObject({
    failure: 'holds 2 volume files, a scan is one',
  });
  expect(await scanOf(volume('mask.nii'))).toMatchObject({ files: ['mask.nii'], failure: null });
});

test('masks and copies of images, and names of another kind, are reported', async () => {
  const names = ['1.png', '2.png', '2 (1).png', '3.png', '4.png', '4_mask.png', 'topogram_9.png'];
  const { files, findings } = await scanOf(await images(...names));
  expect(files).toEqual(['1.png', '2.png', '2 (1).png', '3.png', '4.png', 'topogram_9.png']);
  expect(findings).toEqual([
    'ignored-masks: 1 mask of other slices ignored: 4_mask.png',
    'mixed-names: 1 slice named unlike the others, placed by the last number: topogram_9.png',
    'missing-slices: no slice 5–8 between 1 and 9',
    'same-number: more than one slice has the number of 2 (1).png; all are kept',
  ]);
});

test('two scans in one folder of images are reported', async () => {
  const { findings } = await scanOf(await images('a1_1.png', 'a1_2.png', 'a2_1.png', 'a2_2.png', 'a2_3.png'));
  expect(findings).toEqual([
    'several-numbers: no single number in the names tells the slices apart, such as a1_1.png and a2_3.png: they may be of several scans; all numbers give the order',
  ]);
});

test('in any folder: masks are no scans, and parts of one series in two folders are reported', async () => {
  const under = (folder: string, files: Record<string, Uint8Array>) =>
    Object.entries(files).map(([name, bytes]) => [`${folder}/${name}`, bytes] as const);
  const root = await writeTree(
    Object.fromEntries([
      ...under('disc/A', dicom(5, '1.2.7')),
      ...under('disc/B', dicom(3, '1.2.7')),
      ...under('other', dicom(3, '1.2.8')),
      ...under('volumes', { ...volume('a.nii'), ...volume('a_mask.nii'), ...volume('b.nii') }),
    ]),
  );
  const { scans, report } = await readDatasetIndex(root, { anyFolder: true });
  expect(scans.map(({ key }) => key)).toEqual([
    'test/disc/A',
    'test/disc/B',
    'test/other',
    'test/volumes/a',
    'test/volumes/b',
  ]);
  expect(report.findings.filter(({ kind }) => /mask|series/.test(kind))).toEqual([
    {
      kind: 'ignored-masks',
      path: join(root, 'volumes'),
      message: '1 mask of other volumes ignored: a_mask.nii',
    },
    {
      kind: 'series-in-several-scans',
      path: join(root, 'disc/A'),
      message:
        'the scans test/disc/A (5 files), test/disc/B (3 files) are of one DICOM series, 1.2.7: put its files into one folder, or remove the copies',
    },
  ]);
});
