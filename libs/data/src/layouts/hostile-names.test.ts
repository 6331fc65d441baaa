import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { dicomBytes, sliceElements } from '../readers/dicom/dicom.fixture.ts';
import { maskedSlices } from '../lungs/lung-pairs.ts';
import { plainDataset, slices, writeTree } from '../testing/dataset.fixture.ts';
import { makePipe, testWithPipes } from '../testing/pipe.fixture.ts';
import { readDatasetIndex } from './dataset-index.ts';

// macOS refuses such names.
const testWithBytes = process.platform === 'linux' ? test : test.skip;
const makeInvalid = (folder: string) =>
  mkdir(Buffer.concat([Buffer.from(join(folder, 'bad')), Buffer.of(0xff, 0xfe)]));

testWithBytes('a name that is not UTF-8 is a finding, in the root, a split, a class and a scan', async () => {
  const root = await writeTree({ ...plainDataset(), ...slices('test/a') });
  const folders = ['', 'test', 'train/covid', 'val/covid/ct_scan_0'].map((below) => join(root, below));
  for (const folder of folders) await makeInvalid(folder);
  const { scans, report } = await readDatasetIndex(root);
  expect(scans).toHaveLength(5);
  const found = report.findings.filter(({ kind }) => kind === 'unusable-name');
  expect(found.map(({ path }) => join(path)).sort()).toEqual(folders.map((folder) => join(folder)).sort());
  expect(new Set(found.map(({ message }) => message))).toEqual(
    new Set(['1 file or folder not read, the name is not UTF-8: bad\\xff\\xfe; rename it']),
  );
});

testWithBytes('such a name among labelled images is an error', async () => {
  const root = await writeTree({ 'images/1.png': '', 'masks/1.png': '' });
  await makeInvalid(join(root, 'images'));
  await expect(maskedSlices(root).next()).rejects.toThrow(
    /images.*: holds bad\\xff\\xfe, a name that is not UTF-8/,
  );
});

testWithPipes('a pipe in a folder of DICOM files is ignored, with a finding', async () => {
  const file = (n: number) => dicomBytes(sliceElements(n));
  const root = await writeTree({ ...plainDataset(), 'test/d/1': file(1), 'test/d/2': file(2) });
  makePipe(join(root, 'test/d/pipe'));
  const { scans, report } = await readDatasetIndex(root);
  expect(scans.at(-1)).toMatchObject({ key: 'test/d', format: 'dicom', failure: null });
  expect(scans.at(-1)!.slices).toHaveLength(2);
  expect(report.findings.map(({ message }) => message)).toContain('1 file not DICOM: pipe');
});

testWithPipes('a pipe as patients.csv is one error that names it', async () => {
  const root = await writeTree(plainDataset());
  makePipe(join(root, 'patients.csv'));
  await expect(readDatasetIndex(root)).rejects.toThrow(
    /patients\.csv: is a pipe \(FIFO\), not a regular file/,
  );
});

test('findings show control characters of names', async () => {
  const root = await writeTree({ ...plainDataset(), 'train/covid/ct_scan_0/\x1b[2J\n.txt': '' });
  const { report } = await readDatasetIndex(root);
  expect(report.findings).toMatchObject([
    { kind: 'ignored-file', message: expect.stringContaining('\\x1b[2J\\x0a.txt') },
  ]);
});
