// Fingerprints at the scale of a data set: thousands of random ones, and every fifth of the real scans.
import { readDatasetIndex } from '../layouts/dataset-index.ts';
import { cpuTime } from '../testing/damage.fixture.ts';
import { testOnRealData } from '../testing/dataset.fixture.ts';
import { alteredCopy, fingerprintOfScan, randomFingerprints } from './fingerprint.fixture.ts';
import { nearEqualPairs } from './fingerprint.ts';

test('2500 scans in seconds', () => {
  const scans = randomFingerprints(2500);
  const start = cpuTime();
  expect(nearEqualPairs(scans)).toMatchObject([{ distance: 0 }]);
  expect(cpuTime() - start).toBeLessThan(15_000);
});

testOnRealData('real scans: no pair of different patients is near, and altered copies are', async (root) => {
  const some = (await readDatasetIndex(root)).scans.filter((_, i) => i % 5 === 0);
  const prints = [];
  for (const scan of some) prints.push({ patient: scan.patient, fingerprint: await fingerprintOfScan(scan) });
  expect(nearEqualPairs(prints).filter(({ first, second }) => first.patient !== second.patient)).toEqual([]);
  const scan = some.find(({ slices }) => slices.length > 30)!;
  const pair = [scan, await alteredCopy(scan)].map(async (each) => ({
    fingerprint: await fingerprintOfScan(each),
  }));
  expect(nearEqualPairs(await Promise.all(pair))).toHaveLength(1);
});
