import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { readDatasetIndex } from '../layouts/dataset-index.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { flatPng, scanOf, temporaryFolder, testOnRealData, writeTree } from '../testing/dataset.fixture.ts';
import { openScan, prepareVolume } from '../volumes/preparation.ts';
import { openVolumeStore, prepareDataset } from './volume-store.ts';

const preparation = { depth: 4, height: 8, width: 8 };
const goodScan = async () => scanOf(await Promise.all([10, 20, 30].map((value) => flatPng(value))));

test('prepared once, then found; the volume is that of prepareVolume', async () => {
  const scan = await goodScan();
  const store = openVolumeStore(join(await temporaryFolder(), 'new/store'));
  const first = await store.prepare(scan, { preparation });
  expect(first).toEqual({
    stored: {
      key: scan.key,
      group: null,
      label: 1,
      split: 'train',
      name: 'ct_scan_0',
      volume: expect.stringMatching(/^[0-9a-f]{64}$/),
      failure: null,
      slices: 3,
      kept: 3,
    },
    findings: [],
    fresh: true,
  });
  expect(await store.prepare(scan, { preparation })).toEqual({ ...first, fresh: false });
  expect(await store.read(first.stored.volume!)).toEqual((await prepareVolume(scan, preparation)).volume);
  const other = await store.prepare(scan, { preparation: { ...preparation, depth: 5 } });
  expect([other.fresh, other.stored.volume === first.stored.volume]).toEqual([true, false]);
});

test('findings and failures of the first run come back without decoding, under the names of the asking scan', async () => {
  const store = openVolumeStore(await temporaryFolder());
  const contents = [await flatPng(10), Buffer.from('broken'), await flatPng(10)];
  const [one, two] = [await scanOf(contents), await scanOf(contents, 'ct_scan_1')];
  const first = await store.prepare(one, { preparation });
  const second = await store.prepare(two, { preparation });
  expect([first.fresh, second.fresh]).toEqual([true, false]);
  expect(first.findings.map(({ kind }) => kind)).toEqual(['duplicate-slices', 'undecodable-slice']);
  expect(second.findings[1]?.path).toBe(two.slices[1]);
  expect(second.stored).toEqual({ ...first.stored, key: two.key, name: two.name, slices: 2, kept: 2 });

  const hopeless = await scanOf([Buffer.from('x')]);
  for (const fresh of [true, false]) {
    const result = await store.prepare(hopeless, { preparation });
    expect(result.stored).toMatchObject({
      volume: null,
      slices: 0,
      failure: expect.stringMatching(/none of its 1 slices/),
    });
    expect(result.fresh).toBe(fresh);
  }
});

test('a scan whose files have not changed is recalled without reading them; one that has, or whose volume has, is not', async () => {
  const scan = await goodScan();
  const store = openVolumeStore(await temporaryFolder());
  const options = { preparation };
  expect(await store.recall(scan, options)).toBeNull();
  const first = await store.prepare(scan, options);
  expect(await store.recall(scan, options)).toEqual({ ...first, fresh: false });
  expect(await store.recall(scan, { preparation: { ...preparation, depth: 5 } })).toBeNull();

  const [slice] = scan.slices;
  await writeFile(slice!, await readFile(slice!)); // the same bytes, at another time
  expect(await store.recall(scan, options)).toBeNull();
  expect(await store.prepare(scan, options)).toEqual({ ...first, fresh: false });
  expect(await store.recall(scan, options)).not.toBeNull();

  await truncate(join(store.folder, `${first.stored.volume}.npy`), 200);
  expect(await store.recall(scan, options)).toBeNull();
  await rm(slice!);
  expect((await store.prepare(scan, options)).stored.slices).toBe(2);
});

test('a scan that changes while it is prepared is read again the next time', async () => {
  const scan = await goodScan();
  const store = openVolumeStore(await temporaryFolder());
  const opened = await openScan(scan);
  await writeFile(scan.slices[0]!, await flatPng(220));
  const old = await store.prepare(scan, { preparation, opened });
  expect(await store.recall(scan, { preparation })).toBeNull();
  expect((await store.prepare(scan, { preparation })).stored.volume).not.toBe(old.stored.volume);
});

test('a file that could not be read is tried again the next time', async () => {
  const scan = await goodScan();
  const store = openVolumeStore(await temporaryFolder());
  const opened = await openScan(scan);
  opened.files[1] = { bytes: null, problem: 'cannot be read (EIO)' };
  await store.prepare(scan, { preparation, opened });
  expect(await store.recall(scan, { preparation })).toBeNull();
});

test('the record tells of which slices the volume is made', async () => {
  const store = openVolumeStore(await temporaryFolder());
  const { stored } = await store.prepare(await goodScan(), { preparation });
  expect(await store.record(stored.volume!)).toMatchObject({ slices: 3, dropped: [], sources: [0, 0, 1, 2] });
  await expect(store.record('0'.repeat(64))).rejects.toThrow(/is not in the store, or damaged/);
});

test('a scan that failed in the index stays failed', async () => {
  const scan: ScanEntry = { ...(await goodScan()), slices: [], failure: 'the folder holds no slice' };
  const { stored, fresh } = await openVolumeStore(await temporaryFolder()).prepare(scan, { preparation });
  expect([stored.volume, stored.failure, fresh]).toEqual([null, 'the folder holds no slice', false]);
});

test.each([
  ['a volume cut short', (file: string) => truncate(`${file}.npy`, 200), true],
  ['an empty volume', (file: string) => truncate(`${file}.npy`, 0), true],
  [
    'a volume with one changed value',
    async (file: string) => {
      const bytes = await readFile(`${file}.npy`);
      bytes[bytes.length - 1]! ^= 1;
      await writeFile(`${file}.npy`, bytes);
    },
    true,
  ],
  ['a volume that is gone', (file: string) => rm(`${file}.npy`), true],
  ['a record cut short', (file: string) => truncate(`${file}.json`, 20), true],
  ['a record of another kind', (file: string) => writeFile(`${file}.json`, '{"sha256": 1}'), true],
  ['a record that is gone, as after a crash', (file: string) => rm(`${file}.json`), false],
])('%s is detected and made anew', async (_, damage, told) => {
  const scan = await goodScan();
  const store = openVolumeStore(await temporaryFolder());
  const { stored } = await store.prepare(scan, { preparation });
  const whole = await store.read(stored.volume!);
  await damage(join(store.folder, stored.volume!));
  const again = await store.prepare(scan, { preparation });
  expect(again.fresh).toBe(true);
  expect(again.stored).toEqual(stored);
  expect(again.findings.map(({ kind }) => kind)).toEqual(told ? ['damaged-store-file'] : []);
  expect(await store.read(stored.volume!)).toEqual(whole);
  expect((await store.prepare(scan, { preparation })).fresh).toBe(false);
});

test('reading what is absent or cut short names the file and the remedy', async () => {
  const store = openVolumeStore(await temporaryFolder());
  await expect(store.read('0'.repeat(64))).rejects.toThrow(
    /0\.npy: is not in the store → prepare the dataset again/,
  );
  const { stored } = await store.prepare(await goodScan(), { preparation });
  await truncate(join(store.folder, `${stored.volume}.npy`), 200);
  await expect(store.read(stored.volume!)).rejects.toThrow(
    /\.npy: is damaged: 72 grey values instead of 4 × 8 × 8/,
  );
});

test('two processes that prepare the same scan at once agree, and leave two whole files', async () => {
  const noise = (seed: number) =>
    Uint8Array.from({ length: 256 * 256 }, (_, i) => (i * (seed + 3) * 31) % 251);
  const scan = await scanOf(
    await Promise.all(
      Array.from({ length: 12 }, (_, k) =>
        sharp(noise(k), { raw: { width: 256, height: 256, channels: 1 } })
          .png()
          .toBuffer(),
      ),
    ),
  );
  const folder = await temporaryFolder();
  const run = async () => {
    const child = spawn(
      process.execPath,
      [
        '--conditions=@ct-ensemble/source',
        '--import',
        typescriptLoader,
        '--input-type=module',
        '-e',
        childScript,
      ],
      { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, NODE_OPTIONS: '' } },
    );
    let output = '';
    child.stdout.on('data', (chunk) => (output += String(chunk)));
    await once(child.stdout, 'data'); // ready
    return {
      finish: async () => {
        child.stdin.end(JSON.stringify({ folder, scan, rounds: 10 }));
        await once(child, 'close');
        return JSON.parse(output.slice('ready'.length)) as { volume: string; fresh: boolean }[];
      },
    };
  };
  const children = await Promise.all([run(), run()]);
  const results = (await Promise.all(children.map(({ finish }) => finish()))).flat();
  expect(results).toHaveLength(20);
  for (let depth = 1; depth <= 10; depth++)
    expect(new Set(results.filter((_, i) => (i % 10) + 1 === depth).map(({ volume }) => volume)).size).toBe(
      1,
    );
  expect(results.filter(({ fresh }) => fresh).length).toBeGreaterThanOrEqual(10);
  expect((await readdir(folder)).sort().slice(-1)).toEqual(['seen']);
  expect(await readdir(folder)).toHaveLength(21); // ten volumes and records, no temporary name
  const store = openVolumeStore(folder);
  for (let depth = 1; depth <= 10; depth++) {
    const { stored, fresh } = await store.prepare(scan, { preparation: { depth, height: 64, width: 64 } });
    expect(fresh).toBe(false);
    expect(await store.read(stored.volume!)).toEqual(
      (await prepareVolume(scan, { depth, height: 64, width: 64 })).volume,
    );
  }
});

describe('prepareDataset', () => {
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
      expect(await prepareDataset({ ...options, onProgress: ({ fresh }) => again.push(fresh) })).toEqual(
        first,
      );
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

  test('a store that cannot be made is told', async () => {
    const root = await writeTree({ file: 'x' });
    const options = { index: await dataset(), preparations: [preparation] };
    await expect(prepareDataset({ ...options, store: openVolumeStore(join(root, 'file')) })).rejects.toThrow(
      /file: cannot be made a folder of volumes .* → name another with --out or --volumes/,
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
});

testOnRealData('a real scan: grey values of a chest, repeatable', async (root) => {
  const { scans } = await readDatasetIndex(root);
  const scan = scans.find(({ slices }) => slices.length < 12)!;
  const store = openVolumeStore(await temporaryFolder());
  const { stored } = await store.prepare(scan, { preparation: { depth: 16, height: 64, width: 64 } });
  expect([stored.failure, stored.slices]).toEqual([null, scan.slices.length]);
  const { data } = await store.read(stored.volume!);
  const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
  // The mean over whole slices, decoded by sharp alone: resizing and nearest depth move it little.
  const means = await Promise.all(
    scan.slices.map(async (file) => (await sharp(file).greyscale().stats()).channels[0]!.mean),
  );
  expect(Math.abs(mean - means.reduce((a, b) => a + b) / means.length)).toBeLessThan(6);
});

/** Reads { folder, scan, rounds }, prepares the scan at depths 1 … rounds, prints the results. */
const childScript = `
  const { openVolumeStore } = await import(${JSON.stringify(pathToFileURL(join(import.meta.dirname, 'volume-store.ts')).href)});
  process.stdout.write('ready');
  let input = '';
  for await (const chunk of process.stdin) input += chunk;
  const { folder, scan, rounds } = JSON.parse(input);
  const results = [];
  for (let depth = 1; depth <= rounds; depth++) {
    const { stored, fresh } = await openVolumeStore(folder).prepare(scan, { preparation: { depth, height: 64, width: 64 } });
    results.push({ volume: stored.volume, fresh });
  }
  process.stdout.write(JSON.stringify(results));
`;

/** Lets plain Node import TypeScript sources through swc. */
const hooks = `
  import { createRequire } from 'node:module';
  const swc = createRequire(${JSON.stringify(join(import.meta.dirname, 'x.js'))})('@swc/core');
  export async function load(url, context, next) {
    if (!url.endsWith('.ts')) return next(url, context);
    const { code } = await swc.transformFile(new URL(url).pathname, { swcrc: false, jsc: { target: 'es2022', parser: { syntax: 'typescript' } }, module: { type: 'es6' } });
    return { format: 'module', source: code, shortCircuit: true };
  }
`;
const asUrl = (code: string) => `data:text/javascript,${encodeURIComponent(code)}`;
const typescriptLoader = asUrl(
  `import { register } from 'node:module'; register(${JSON.stringify(asUrl(hooks))});`,
);
