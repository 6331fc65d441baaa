// Scans whose preparation does not end, in worker threads.
import { readDatasetIndex } from '../layouts/dataset-index.ts';
import { progressiveJpeg } from '../readers/images/progressive-jpeg.fixture.ts';
import { MAX_JPEG_SCANS } from '../readers/images/jpeg-scans.ts';
import { flatPng, temporaryFolder, writeTree } from '../testing/dataset.fixture.ts';
import { prepareDataset } from './prepare-dataset.ts';
import { openVolumeStore } from './volume-store.ts';

test('a scan that takes longer than the deadline fails; its thread is replaced and the others are prepared', async () => {
  const files: Record<string, Uint8Array> = {};
  let value = 0;
  for (const folder of ['train/covid', 'train/non-covid', 'val/covid', 'val/non-covid'])
    for (let k = 0; k < 5; k++) files[`${folder}/ct_scan_1/${k}.png`] = await flatPng(value++);
  // Seconds for each slice, minutes together. It is the first scan.
  const slow = progressiveJpeg({ width: 4096, height: 4096, scans: MAX_JPEG_SCANS });
  for (let k = 0; k < 200; k++) files[`train/covid/ct_scan_0/${k}.jpg`] = Buffer.concat([slow, Buffer.of(k)]);
  const index = await readDatasetIndex(await writeTree(files));
  const options = { index, preparations: [{ depth: 4, height: 8, width: 8 }], concurrency: 1, deadline: 8 };
  const store = openVolumeStore(await temporaryFolder());
  const { scans, findings } = await prepareDataset({ ...options, store });
  const failure = 'its preparation was stopped after 8 s';
  expect(scans[0]!.map((scan) => [scan.key, scan.failure])).toEqual([
    ['train/covid/ct_scan_0', failure],
    ['train/covid/ct_scan_1', null],
    ['train/non-covid/ct_scan_1', null],
    ['val/covid/ct_scan_1', null],
    ['val/non-covid/ct_scan_1', null],
  ]);
  expect(findings).toMatchObject([{ kind: 'preparation-failed', message: failure }]);
});
