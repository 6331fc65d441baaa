// The DICOM reader under damage, two files per kind of damage and transfer syntax; dicom.slow.test.ts reads a thousand.
import { countDamagedReads, refuseDeflatedZeros, soundFiles } from './dicom-damage.fixture.ts';
import { readDicomSeries } from './dicom.ts';

test('without damage the files are read', async () => {
  for (const bytes of soundFiles) {
    const [scan] = await readDicomSeries([{ path: 'sound', bytes }]);
    expect(scan!.slices).toHaveLength(1);
  }
});

test('megabytes of zeros, deflated to a few kilobytes, are refused at once', async () => {
  expect(await refuseDeflatedZeros(8 << 20)).toBeLessThan(5000);
});

test('damaged files: a scan or a UserError each', async () => {
  const { read, refused, slowest } = await countDamagedReads(72);
  expect(read).toBeGreaterThan(7);
  expect(refused).toBeGreaterThan(7);
  expect(slowest).toBeLessThan(2000);
});
