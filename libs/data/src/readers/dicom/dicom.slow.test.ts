// The DICOM reader on every real sample beside the checkout, whole series among them, and on much damage.
import {
  countDamagedReads,
  damagedAt,
  readOrRefuse,
  refuseDeflatedZeros,
  soundSlice,
} from './dicom-damage.fixture.ts';
import { digestOf, pydicomDigests, sampleFiles, skipped } from './dicom-samples.fixture.ts';
import { readDicomSeries } from './dicom.ts';

const onSamples = skipped === '' ? test : test.skip;

onSamples.each(Object.entries(pydicomDigests))(`%s has pydicom's values${skipped}`, async (name, digest) => {
  const scans = await readDicomSeries(await sampleFiles(name));
  expect(scans.map(digestOf)).toEqual([digest]);
});

onSamples(`real series are in anatomical order, with air at −1000 HU${skipped}`, async () => {
  const [lidc] = await readDicomSeries(await sampleFiles('LIDC-IDRI-0001'));
  expect(lidc).toMatchObject({ patient: 'LIDC-IDRI-0001', spacing: { slices: 2.5 }, findings: [] });
  expect(lidc!.slices).toHaveLength(16);
  const corner = lidc!.slices[0]!.data.slice(0, 5000).filter((value) => value > -1024);
  expect(corner.every((value) => value < -900)).toBe(true);
  const [md] = await readDicomSeries(await sampleFiles('COVID-CT-MD-P002-every8th'));
  expect(md).toMatchObject({ spacing: { slices: 16 }, findings: [{ kind: 'ignored-window' }] });
  const two = await readDicomSeries(await sampleFiles('COVID-19-NY-SBU'));
  expect(two).toHaveLength(12);
});

test('damage at every third byte is an error or a scan, never something else', async () => {
  for (let at = 0; at < soundSlice.length; at += 3)
    for (const bytes of damagedAt(soundSlice, at)) await readOrRefuse(bytes);
});

test('200 MB of zeros, deflated to a few kilobytes, are refused in bounded time', async () => {
  expect(await refuseDeflatedZeros(200 << 20)).toBeLessThan(5000);
});

test('1000 damaged files: a scan or a UserError each, in bounded time and memory', async () => {
  const { read, refused, slowest, megabytes } = await countDamagedReads(1000);
  expect(read).toBeGreaterThan(100); // much of the damage lies in elements that the reader does not use
  expect(refused).toBeGreaterThan(100);
  expect(slowest).toBeLessThan(2000);
  expect(megabytes).toBeLessThan(500);
});
