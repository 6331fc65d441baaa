// Fingerprints at the scale of a data set: thousands of random ones, and every fifth of the real scans.
import { readDatasetIndex } from '../layouts/dataset-index.ts';
import { cpuTime } from '../testing/damage.fixture.ts';
import { testOnRealData } from '../testing/dataset.fixture.ts';
import { alteredCopy, fingerprintOfScan, randomFingerprints } from './fingerprint.fixture.ts';
import { nearEqualPairs } from './fingerprint.ts';

test('10,000 scans in seconds', async () => {
  const scans = randomFingerprints(10_000);
  const start = cpuTime();
  expect(await nearEqualPairs(scans)).toMatchObject([{ distance: 0 }]);
  expect(cpuTime() - start).toBeLessThan(15_000);
});

testOnRealData('real scans: no pair of different patients is near, and altered copies are', async (root) => {
  const some = (await readDatasetIndex(root)).scans.filter((_, i) => i % 5 === 0);
  const prints = [];
  for (const scan of some) prints.push({ patient: scan.patient, fingerprint: await fingerprintOfScan(scan) });
  expect(
    (await nearEqualPairs(prints)).filter(({ first, second }) => first.patient !== second.patient),
  ).toEqual([]);
  const scan = some.find(({ slices }) => slices.length > 30)!;
  const pair = [scan, await alteredCopy(scan)].map(async (each) => ({
    fingerprint: await fingerprintOfScan(each),
  }));
  expect(await nearEqualPairs(await Promise.all(pair))).toHaveLength(1);
});
