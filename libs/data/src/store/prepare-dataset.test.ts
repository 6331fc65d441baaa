import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readDatasetIndex } from '../layouts/dataset-index.ts';
import { flatPng, temporaryFolder, writeTree } from '../testing/dataset.fixture.ts';
import { failureOfScan } from './preparation-workers.ts';
import { prepareDataset } from './prepare-dataset.ts';
import { openVolumeStore } from './volume-store.ts';

const preparation = { depth: 4, height: 8, width: 8 };

const dataset = async () => {
  const files: Record<string, Uint8Array> = {};
  let value = 0;
  for (const split of ['train', 'val'])
    for (const group of ['covid', 'non-covid'])
      for (const name of ['ct_scan_2', 'ct_scan_10'])
        for (let k = 0; k < 5; k++) files[`${split}/${group}/${name}/${k}.png`] = await flatPng(value++);
  files['train/covid/ct_scan_2/3.png'] = Buffer.from('broken');
  for (let k = 0; k < 5; k++) files[`val/covid/ct_scan_10/${k}.png`] = Buffer.from(`broken ${k}`);
  return readDatasetIndex(await writeTree({ ...files, 'train/covid/ct_scan_3/': '' }));
};

test.each([1, 3])(
  '%i at a time: all scans in index order, with findings and progress',
  async (concurrency) => {
    const index = await dataset();
    const store = openVolumeStore(await temporaryFolder());
    const progress: { done: number; total: number; fresh: number; scan: string }[] = [];
    const options = { index, preparations: [preparation], store, concurrency };
    const first = await prepareDataset({ ...options, onProgress: (p) => progress.push(p) });
    expect(first.scans[0]!.map(({ key }) => key)).toEqual(index.scans.map(({ key }) => key));
    expect(first.scans[0]!.filter(({ failure }) => failure !== null).map(({ key }) => key)).toEqual([
      'train/covid/ct_scan_3',
      'val/covid/ct_scan_10',
    ]);
    expect(first.findings.map(({ kind }) => kind)).toEqual(new Array(6).fill('undecodable-slice'));
    expect(progress.map(({ done }) => done)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(progress.map(({ scan }) => scan).sort()).toEqual(index.scans.map(({ key }) => key).sort());
    expect(progress.at(-1)).toMatchObject({ total: 9, fresh: 8 });

    const again: number[] = [];
    expect(await prepareDataset({ ...options, onProgress: ({ fresh }) => again.push(fresh) })).toEqual(first);
    expect(again.at(-1)).toBe(0);
  },
);

test('several preparations of one scan give what each gives alone', async () => {
  const index = await dataset();
  const preparations = [preparation, { ...preparation, depth: 7 }, { ...preparation, equalize: true }];
  const [together, alone] = [
    openVolumeStore(await temporaryFolder()),
    openVolumeStore(await temporaryFolder()),
  ];
  const { scans, findings } = await prepareDataset({ index, preparations, store: together });
  expect(findings).toHaveLength(6);
  for (const [k, one] of preparations.entries())
    expect((await prepareDataset({ index, preparations: [one], store: alone })).scans).toEqual([scans[k]]);
});

test('a store folder that cannot be created is a clear error', async () => {
  const root = await writeTree({ file: 'x' });
  const options = { index: await dataset(), preparations: [preparation] };
  await expect(prepareDataset({ ...options, store: openVolumeStore(join(root, 'file')) })).rejects.toThrow(
    /file: cannot be created as the folder of volumes .* → name another with --out or --volumes/,
  );
});

test('aborting throws the reason and keeps what is done', async () => {
  const index = await dataset();
  const store = openVolumeStore(await temporaryFolder());
  const abort = new AbortController();
  const running = prepareDataset({
    index,
    preparations: [preparation],
    store,
    concurrency: 1,
    signal: abort.signal,
    onProgress: ({ done }) => done === 2 && abort.abort(new Error('enough')),
  });
  await expect(running).rejects.toThrow('enough');
  expect((await readdir(store.folder)).filter((file) => file.endsWith('.npy'))).toHaveLength(1); // the second has no slice
});

test('the end of a thread and a lack of memory are failures of the scan; other errors, such as a full disk, are not', () => {
  const outOfMemory = Object.assign(new Error('Worker terminated'), { code: 'ERR_WORKER_OUT_OF_MEMORY' });
  expect(failureOfScan(outOfMemory)).toBe('its preparation needs more than 2048 MB of JavaScript memory');
  expect(failureOfScan(new Error('worker exited with code: 1'))).toMatch(/ended the thread it ran in/);
  expect(failureOfScan(new RangeError('Array buffer allocation failed'))).toMatch(
    /exceeds the memory or the stack/,
  );
  expect(failureOfScan(Object.assign(new Error('no space'), { code: 'ENOSPC' }))).toBeNull();
  expect(failureOfScan(undefined)).toBeNull();
});
