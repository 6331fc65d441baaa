// Two processes that share one store.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { randomStream } from '@ct-ensemble/core';
import sharp from 'sharp';
import { readDatasetIndex } from '../layouts/dataset-index.ts';
import { png, scanOf, temporaryFolder, writeTree } from '../testing/dataset.fixture.ts';
import { prepareDataset } from './prepare-dataset.ts';
import { prepareVolume } from '../volumes/preparation.ts';
import { openVolumeStore } from './volume-store.ts';

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

test('two processes that prepare one data set at once and are killed again and again leave the store of an undisturbed one', async () => {
  const random = randomStream({ seed: 1, purpose: 'kills' });
  const files: Record<string, Uint8Array> = {};
  const scans = 8;
  for (let scan = 0; scan < scans; scan++) {
    const place = `${scan % 4 < 2 ? 'train' : 'val'}/${scan % 2 === 0 ? 'covid' : 'non-covid'}/ct_scan_${scan}`;
    for (let k = 0; k < 6; k++) {
      const values = Uint8Array.from({ length: 128 * 128 }, () => random.integer(256));
      files[`${place}/${k}.png`] = await png({ width: 128, height: 128, channels: 1, values });
    }
  }
  const root = await writeTree(files);
  const index = await readDatasetIndex(root);
  const preparations = [
    { depth: 6, height: 64, width: 64 },
    { depth: 3, height: 96, width: 96 },
  ];
  const [expected, shared] = [await temporaryFolder(), await temporaryFolder()];
  await prepareDataset({ index, preparations, store: openVolumeStore(expected) });
  const task = join(root, 'task.json');
  await writeFile(task, JSON.stringify({ folder: shared, index: { scans: index.scans }, preparations }));
  /** Prepares the data set; `kills`: ends the process some milliseconds after so many fresh scans. */
  const prepare = async (kills?: { after: number; milliseconds: number }) => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', preparingScript, task], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    let fresh = 0;
    createInterface({ input: child.stdout }).on('line', () => {
      if (kills !== undefined && ++fresh === kills.after)
        setTimeout(() => child.kill('SIGKILL'), kills.milliseconds);
    });
    const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
    return signal ?? code;
  };
  const ends: (string | number | null)[] = [];
  for (let round = 0; round < 2; round++) {
    const kills = () => ({ after: 1 + random.integer(2), milliseconds: random.integer(12) });
    ends.push(...(await Promise.all([prepare(kills()), prepare(kills())])));
  }
  expect(ends.filter((end) => end === 'SIGKILL').length).toBeGreaterThanOrEqual(2);
  expect(await Promise.all([prepare(), prepare()])).toEqual([0, 0]);
  const names = (await readdir(expected)).sort();
  expect(names).toHaveLength(2 * scans * preparations.length + 1);
  expect((await readdir(shared)).sort()).toEqual(names);
  for (const name of names.filter((name) => name !== 'seen'))
    expect(await readFile(join(shared, name))).toEqual(await readFile(join(expected, name)));
  const seen = await readdir(join(shared, 'seen'));
  expect(seen.sort()).toEqual((await readdir(join(expected, 'seen'))).sort());
  const { scans: stored } = await prepareDataset({ index, preparations, store: openVolumeStore(shared) });
  expect(stored.flat().every(({ volume }) => volume !== null)).toBe(true);
});

/** Prepares the data set of the task named in the first argument, and prints a line after each fresh scan. */
const preparingScript = `
  import { readFile } from 'node:fs/promises';
  import { openVolumeStore, prepareDataset } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)};
  const { folder, index, preparations } = JSON.parse(await readFile(process.argv[1], 'utf8'));
  let fresh = 0;
  await prepareDataset({
    index, preparations, store: openVolumeStore(folder), concurrency: 2,
    onProgress: (progress) => { if (progress.fresh > fresh) process.stdout.write(\`\${(fresh = progress.fresh)}\\n\`); },
  });
`;

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
