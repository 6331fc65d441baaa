// Two processes that share one store.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import sharp from 'sharp';
import { scanOf, temporaryFolder } from '../testing/dataset.fixture.ts';
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
