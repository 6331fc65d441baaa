import { mkdtemp, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { COMPETITION_TASKS } from './cov19-ct-db/spelling.ts';
import { readDatasetIndex } from './dataset-index.ts';
import { flatPng, plainDataset, slices, temporaryFolder, writeTree } from '../testing/dataset.fixture.ts';
import { dicomBytes, sliceElements } from '../readers/dicom/dicom.fixture.ts';
import { prepareDataset } from '../store/prepare-dataset.ts';
import { openVolumeStore } from '../store/volume-store.ts';

const read = (root: string) => readDatasetIndex(root, { anyFolder: true });

/** Two axial slices without file endings, unlike those of any other folder. */
const dicom = (folder: string) => ({
  [`${folder}/IM0`]: dicomBytes(sliceElements(10, { PatientID: folder, SeriesInstanceUID: folder })),
  [`${folder}/IM1`]: dicomBytes(sliceElements(8, { PatientID: folder, SeriesInstanceUID: folder })),
});

test('scans of every format at several depths: keys are paths, names are written as one word', async () => {
  const root = await writeTree({
    ...dicom('patient 2/study, old/series-1'),
    ...dicom('patient 2/study, old/series-2'),
    'patient 2/study, old/report.txt': '',
    ...slices('patient 10', 7),
    'patient 9/ct.nii.gz': 'ct',
    'patient 9/lungs.nii': 'lungs',
    'patient 9/series/7.png': 'png',
    'loose.nii.gz': 'x',
    DICOMDIR: dicomBytes(sliceElements(10)),
    'empty/': '',
    'about/notes.txt': '',
    '__MACOSX/0.jpg': '',
  });
  const { scans, report } = await read(root);
  expect(scans.map(({ key, name, format, slices: { length } }) => [key, name, format, length])).toEqual([
    ['test/loose', 'loose', 'nifti', 1],
    ['test/patient 2/study, old/series-1', 'patient_2_study_old_series-1', 'dicom', 2],
    ['test/patient 2/study, old/series-2', 'patient_2_study_old_series-2', 'dicom', 2],
    ['test/patient 9/ct', 'patient_9_ct', 'nifti', 1],
    ['test/patient 9/lungs', 'patient_9_lungs', 'nifti', 1],
    ['test/patient 9/series', 'patient_9_series', 'images', 1],
    ['test/patient 10', 'patient_10', 'images', 7],
  ]);
  expect(new Set(scans.map(({ split, label, failure }) => JSON.stringify([split, label, failure])))).toEqual(
    new Set(['["test",null,null]']),
  );
  expect(report.counts.test).toEqual({ perClass: [], unlabelled: 7, failed: 0 });
  const found = report.findings.map(({ kind, path, message }) => [kind, relative(root, path), message]);
  expect(found.sort()).toEqual(
    [
      ['ignored-file', '', '1 file outside any scan folder: DICOMDIR'],
      ['system-files', '', '1 system file ignored: __MACOSX'],
      ['ignored-file', 'about', '1 file not a slice (K.jpg or K.png): notes.txt'],
      [
        'no-slices',
        'about',
        'the folder holds no slice (K.jpg or K.png), no DICOM file and no volume (NIfTI, MetaImage, NRRD), but 1 .txt file',
      ],
      [
        'no-slices',
        'empty',
        'the folder holds no slice (K.jpg or K.png), no DICOM file and no volume (NIfTI, MetaImage, NRRD), but no file',
      ],
      ['ignored-file', 'patient 2/study, old', '1 file outside any scan folder: report.txt'],
      ['few-slices', 'patient 9/series', 'has 1 slice only'],
    ].sort(),
  );
});

test.each([
  ['of slices', slices('scan')],
  ['of DICOM files', dicom('scan')],
])('a folder %s is one scan, by its own name', async (_, files) => {
  const root = join(await writeTree(files), 'scan');
  const { scans } = await read(root);
  expect(scans).toMatchObject([{ key: 'test/scan', name: 'scan' }]);
  expect(scans[0]!.slices.map((file) => basename(file))).toEqual(
    Object.keys(files).map((file) => basename(file)),
  );
});

test('keys and names are unique, and none is the header of a submission', async () => {
  const root = await writeTree({
    ...slices('a'),
    'a.nii': 'x',
    'a.nii.gz': 'y',
    ...slices('b/c'),
    ...slices('b c'),
    ...slices('Patient'),
    ...slices('Lunge-Ä'),
  });
  const { scans } = await read(root);
  expect(scans.map(({ key, name }) => [key, name])).toEqual([
    ['test/Lunge-Ä', 'Lunge-Ä'],
    ['test/Patient', 'scan_Patient'],
    ['test/a', 'a'],
    ['test/a.nii', 'a.nii'],
    ['test/a.nii.gz', 'a.nii.gz'],
    ['test/b c', 'b_c'],
    ['test/b/c', 'b_c_2'],
  ]);
});

test('links in a circle and folders far down are reported, not followed', async () => {
  const root = await writeTree({ ...slices('a'), ...slices('b/1/2/3/4/5'), ...slices('c/1/2/3/4/5/6') });
  await symlink(root, join(root, 'b/again'));
  const { scans, report } = await read(root);
  expect(scans.map(({ key }) => key)).toEqual(['test/a', 'test/b/1/2/3/4/5']);
  const ignored = report.findings.filter(({ kind }) => kind === 'ignored-folder');
  expect(ignored.map(({ path, message }) => [relative(root, path), message])).toEqual([
    ['b/again', `is the same folder as ${root}`],
    ['c/1/2/3/4/5/6', 'lies more than 6 folders deep'],
  ]);
});

test('with train or val it is read as COV19-CT-DB; without, training has nothing to read', async () => {
  const root = await writeTree(plainDataset());
  expect(await read(root)).toEqual(await readDatasetIndex(root));
  const unlabelled = await writeTree(slices('scan'));
  await expect(readDatasetIndex(unlabelled)).rejects.toThrow(/holds no scan for training or validation/);
  const empty = await mkdtemp(join(tmpdir(), 'ct-ensemble-data-'));
  await expect(read(empty)).rejects.toThrow(/: holds no scan; it holds no file → give a folder of scans/);
});

test('severity of any folder needs no lists', async () => {
  const root = await writeTree({ ...slices('a'), ...slices('b') });
  const { scans, classes } = await readDatasetIndex(root, {
    anyFolder: true,
    classes: COMPETITION_TASKS.severity,
  });
  expect(scans.map(({ label }) => label)).toEqual([null, null]);
  expect(classes).toHaveLength(4);
});

test('its volumes are prepared like any other; a file that is no volume fails by name', async () => {
  const root = await writeTree({
    ...dicom('p/dicom'),
    'p/images/0.png': await flatPng(7),
    'p/bad.nii': 'no',
  });
  const {
    scans: [scans],
  } = await prepareDataset({
    index: await read(root),
    preparations: [{ depth: 2, height: 4, width: 4 }],
    store: openVolumeStore(await temporaryFolder()),
  });
  expect(scans!.map(({ key, failure }) => [key, failure === null])).toEqual([
    ['test/p/bad', false],
    ['test/p/dicom', true],
    ['test/p/images', true],
  ]);
});

test('every scan has a key of its own', async () => {
  const root = join(await temporaryFolder(), 'ct');
  await writeTree({ '0.png': await flatPng(1), 'ct/0.png': await flatPng(2) }, root);
  const { scans } = await read(root);
  expect(new Set(scans.map(({ key }) => key)).size).toBe(scans.length);
});
