// Runs the engine's tests, the slow ones included, on several versions of Node and prints which versions passed. The
// Node binaries come from the platform packages of npm's package `node` and are kept in the cache folder.
//   node libs/engine/node-versions.mjs [20 22 …] [-- Jest's own options]
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { cacheFolder } from './dist/index.js';

const VERSIONS = ['20', '22', '24', '26'];

const args = process.argv.slice(2);
const dashes = args.includes('--') ? args.indexOf('--') : args.length;
const versions = dashes === 0 ? VERSIONS : args.slice(0, dashes);
const unknown = versions.find((version) => !/^\d+(\.\d+)*$/.test(version));
if (unknown !== undefined) {
  console.error(`${unknown} is not a version of Node → give numbers, for example 22 24`);
  process.exit(2);
}
const here = dirname(fileURLToPath(import.meta.url));
const jest = fileURLToPath(import.meta.resolve('jest')).replace(
  /build[\\/]index\.\w+$/,
  join('bin', 'jest.js'),
);
const platform = `${process.platform}-${process.arch}`;

/** Path of the newest binary of a version, from the cache or fetched from npm. */
function nodeOf(version) {
  const folder = join(cacheFolder(), 'nodes', `${version}-${platform}`);
  const binary = join(folder, 'node_modules', `node-${platform}`, 'bin', 'node');
  if (existsSync(binary)) return binary;
  mkdirSync(dirname(folder), { recursive: true });
  const work = mkdtempSync(`${folder}-`);
  const name = `node-${platform}@${version}`;
  const npm = spawnSync(
    'npm',
    ['install', '--no-save', '--no-audit', '--no-fund', '--ignore-scripts', '--prefix', work, name],
    { cwd: work, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  if (npm.status !== 0) {
    rmSync(work, { recursive: true });
    throw new Error(`npm could not fetch ${name} → check the network, or that npm has this version`);
  }
  rmSync(folder, { recursive: true, force: true });
  renameSync(work, folder);
  return binary;
}

/** Runs the tests on one version of Node; returns the exact version, the result and the seconds. */
function test(version) {
  const started = performance.now();
  let exact = version;
  let result;
  try {
    const node = nodeOf(version);
    exact = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim();
    console.log(`\n== Node ${exact}`);
    for (const slow of ['0', '1']) {
      const { status, signal } = spawnSync(
        node,
        [jest, '--silent', '--passWithNoTests', ...args.slice(dashes + 1)],
        {
          cwd: here,
          stdio: 'inherit',
          // Programs started by the tests use the same Node.
          env: {
            ...process.env,
            PATH: `${dirname(node)}:${process.env.PATH}`,
            NODE_OPTIONS: '--experimental-vm-modules --no-warnings',
            SLOW_TESTS: slow,
          },
        },
      );
      result = status === 0 ? 'passed' : `failed (${signal ?? `exit code ${status}`})`;
      if (status !== 0) break;
    }
  } catch (error) {
    result = `not run: ${error.message}`;
  }
  return { version: exact, result, seconds: ((performance.now() - started) / 1000).toFixed(0) };
}

const results = versions.map(test);
console.log('\nNode          tests');
for (const { version, result, seconds } of results)
  console.log(`${version.padEnd(13)} ${result}, ${seconds} s`);
if (results.some(({ result }) => result !== 'passed')) process.exitCode = 1;
