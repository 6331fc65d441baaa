import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync } from 'node:fs';
import { rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  cacheFolder,
  cachedCopy,
  findGpuTensorFlow,
  findTensorFlow,
  platformOf,
  requireTensorFlow,
  type Host,
} from './library.ts';

const MAIN = 'libtensorflow_cc.so.2';
const FRAMEWORK = 'libtensorflow_framework.so.2';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ct-ensemble-library-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** A Linux machine with an empty cache, and no python3 unless `PATH` is given. */
function machine(env: NodeJS.ProcessEnv = {}, rest: Partial<Host> = {}): Host {
  const nothing = { PATH: join(folder, 'empty'), CT_ENSEMBLE_CACHE: join(folder, 'cache') };
  return { platform: 'linux', arch: 'x64', glibc: '2.36', ...rest, env: { ...nothing, ...env } };
}

function putLibraries(at: string, names = [MAIN, FRAMEWORK]) {
  mkdirSync(at, { recursive: true });
  for (const name of names) writeFileSync(join(at, name), name);
  return at;
}

/** A site-packages folder with pip's metadata and the libraries. */
function putPackage(name: string, version: string) {
  const site = join(folder, `site-${name}-${version}`);
  const info = join(site, `${name.replace('-', '_')}-${version}.dist-info`);
  mkdirSync(info, { recursive: true });
  writeFileSync(join(info, 'METADATA'), `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`);
  putLibraries(join(site, 'tensorflow'));
  return site;
}

test('nothing anywhere: null, and the error names all remedies', () => {
  expect(findTensorFlow(machine())).toBeNull();
  expect(() => requireTensorFlow(machine())).toThrow(
    expect.objectContaining({
      code: 'library-missing',
      message: expect.stringMatching(
        /^TensorFlow 2\.21\.0 is not .* → .*engine:install.*pip install tensorflow-cpu==2\.21\.0.*CT_ENSEMBLE_TENSORFLOW.*--engine cpu/,
      ),
    }),
  );
});

describe('CT_ENSEMBLE_TENSORFLOW', () => {
  test.each([
    ['the folder of the libraries', 'a', 'a'],
    ['a site-packages folder', 'b', 'b/tensorflow'],
  ])('may be %s', (_, given, holds) => {
    putLibraries(join(folder, holds));
    expect(findTensorFlow(machine({ CT_ENSEMBLE_TENSORFLOW: join(folder, given) }))).toEqual({
      folder: join(folder, holds),
      framework: join(folder, holds, FRAMEWORK),
      main: join(folder, holds, MAIN),
      version: null,
      source: 'CT_ENSEMBLE_TENSORFLOW',
    });
  });

  test.each(['tensorflow', 'tensorflow-cpu'])('tells the version of an installed %s', (name) => {
    const site = putPackage(name, '2.21.0');
    for (const given of [site, join(site, 'tensorflow')]) {
      expect(findTensorFlow(machine({ CT_ENSEMBLE_TENSORFLOW: given }))?.version).toBe('2.21.0');
    }
  });

  test('that does not exist, or lacks a library, or has another version, is an error and no fallback', () => {
    const half = putLibraries(join(folder, 'half'), [MAIN]);
    const old = putPackage('tensorflow', '2.15.1');
    putLibraries(join(folder, 'whole'));
    const at = (value: string) => () => findTensorFlow(machine({ CT_ENSEMBLE_TENSORFLOW: value }));
    expect(at('/nowhere')).toThrow(/^CT_ENSEMBLE_TENSORFLOW is \/nowhere, which does not exist → .*unset/);
    expect(at(half)).toThrow(expect.objectContaining({ code: 'library-missing' }));
    expect(at(half)).toThrow(/holds no libtensorflow_framework\.so\.2 and libtensorflow_cc\.so\.2/);
    expect(at(old)).toThrow(expect.objectContaining({ code: 'library-version' }));
    expect(at(old)).toThrow(/which is TensorFlow 2\.15\.1/);
  });

  test('comes before the cache; empty it counts as unset', () => {
    const host = machine({ CT_ENSEMBLE_TENSORFLOW: putLibraries(join(folder, 'own')) });
    putCached(host);
    expect(findTensorFlow(host)?.source).toBe('CT_ENSEMBLE_TENSORFLOW');
    expect(findTensorFlow(machine({ CT_ENSEMBLE_TENSORFLOW: '' }))?.source).toBe('cache');
  });
});

function putCached(host: Host) {
  const at = putLibraries(cachedCopy(host, 'cpu'));
  const files = { [MAIN]: MAIN.length, [FRAMEWORK]: FRAMEWORK.length };
  const source = { package: 'tensorflow-cpu', version: '2.21.0', sha256: '', files };
  writeFileSync(join(at, 'source.json'), JSON.stringify(source));
  return at;
}

describe('the cache', () => {
  test('is found, with its version', () => {
    const at = putCached(machine());
    expect(at).toBe(join(folder, 'cache', 'tensorflow-2.21.0-linux-x64'));
    expect(findTensorFlow(machine())).toMatchObject({ folder: at, version: '2.21.0', source: 'cache' });
  });

  test.each([
    [
      'a library is cut',
      (at: string) => writeFileSync(join(at, MAIN), 'cut'),
      `${MAIN} has 3 bytes instead of 21`,
    ],
    ['a library is gone', (at: string) => rmSync(join(at, FRAMEWORK)), `${FRAMEWORK} is missing`],
    [
      'source.json is gone',
      (at: string) => rmSync(join(at, 'source.json')),
      'source.json is missing or not valid',
    ],
    [
      'source.json is not JSON',
      (at: string) => writeFileSync(join(at, 'source.json'), '{'),
      'source.json is missing or not valid',
    ],
  ])('is damaged when %s', (_, damage, problem) => {
    const at = putCached(machine());
    damage(at);
    expect(() => findTensorFlow(machine())).toThrow(expect.objectContaining({ code: 'library-damaged' }));
    expect(() => findTensorFlow(machine())).toThrow(
      `the TensorFlow in ${at} is damaged: ${problem} → run \`nx run engine:install\`, which installs it again`,
    );
  });

  test.each(['cache', 'cache/tensorflow-2.21.0-linux-x64'])(
    'is not used if every user may write to %s',
    (path) => {
      putCached(machine());
      chmodSync(join(folder, path), 0o777);
      expect(() => findTensorFlow(machine())).toThrow(expect.objectContaining({ code: 'cache-unsafe' }));
      expect(() => findTensorFlow(machine())).toThrow(
        `not loaded from ${join(folder, path)}: every user may write to it (mode 0777) → chmod o-w that folder, or set CT_`,
      );
      chmodSync(join(folder, path), 0o755);
      expect(findTensorFlow(machine())).not.toBeNull();
    },
  );

  test('lies where the variables and the habits of the platform say', () => {
    const at = (env: NodeJS.ProcessEnv, platform: NodeJS.Platform = 'linux') =>
      cacheFolder({ platform, arch: 'x64', glibc: '2.36', env });
    expect(at({ CT_ENSEMBLE_CACHE: '/c', XDG_CACHE_HOME: '/x' })).toBe('/c');
    expect(at({ XDG_CACHE_HOME: '/x' })).toBe('/x/ct-ensemble');
    expect(at({ XDG_CACHE_HOME: 'relative' })).toBe(join(homedir(), '.cache/ct-ensemble'));
    expect(at({}, 'darwin')).toBe(join(homedir(), 'Library/Caches/ct-ensemble'));
  });
});

// The true python3 reads the metadata of packages laid out as pip lays them out.
const python = spawnSync('python3', ['--version']).status === 0;
(python ? describe : describe.skip)('python3 (skipped where there is none)', () => {
  let venv: string;
  beforeAll(() => {
    venv = mkdtempSync(join(tmpdir(), 'ct-ensemble-venv-'));
    spawnSync('python3', ['-m', 'venv', '--without-pip', venv]);
  });
  afterAll(() => rmSync(venv, { recursive: true }));

  /** A machine whose python3 has the packages of these folders. */
  function withPackages(...sites: string[]) {
    const [version] = readdirSync(join(venv, 'lib')).filter((name) => name.startsWith('python'));
    writeFileSync(join(venv, 'lib', version!, 'site-packages', 'test.pth'), `${sites.join('\n')}\n`);
    return machine({ PATH: `${join(venv, 'bin')}:${process.env['PATH']}` });
  }

  test.each([
    ['tensorflow', '2.21.0'],
    ['tensorflow-cpu', '2.21.0'],
    ['tensorflow', '2.21.0+nv26.3'],
  ])('has %s %s', (name, version) => {
    const site = putPackage(name, version);
    expect(findTensorFlow(withPackages(site))).toEqual({
      folder: join(site, 'tensorflow'),
      framework: join(site, 'tensorflow', FRAMEWORK),
      main: join(site, 'tensorflow', MAIN),
      version,
      source: 'python',
    });
  });

  test('with CUDA beside it comes before the cache where a driver is, and only there', () => {
    const site = putPackage('tensorflow', '2.21.0');
    const host = { ...withPackages(site), nvidia: true };
    const at = putCached(host);
    expect(findTensorFlow(host)?.folder).toBe(at);
    mkdirSync(join(site, 'nvidia'));
    expect(findTensorFlow(host)?.folder).toBe(join(site, 'tensorflow'));
    expect(findTensorFlow({ ...host, nvidia: false })?.folder).toBe(at);
    expect(findGpuTensorFlow({ ...host, nvidia: false })?.folder).toBe(join(site, 'tensorflow'));
  });

  test('tensorflow-cpu beside the CUDA libraries of another package is not for GPUs', () => {
    const site = putPackage('tensorflow-cpu', '2.21.0');
    mkdirSync(join(site, 'nvidia'));
    expect(findGpuTensorFlow(withPackages(site))).toBeNull();
  });

  test('has packages in the site-packages folder of the user', () => {
    const site = putPackage('tensorflow', '2.21.0');
    const home = join(folder, 'home');
    const env = { PATH: process.env['PATH'], HOME: home };
    const script = 'import site; print(site.getusersitepackages())';
    const { stdout } = spawnSync('python3', ['-c', script], { env, encoding: 'utf8' });
    mkdirSync(join(stdout.trim(), '..'), { recursive: true });
    renameSync(site, stdout.trim());
    expect(findTensorFlow(machine(env))?.folder).toBe(join(stdout.trim(), 'tensorflow'));
    expect(findTensorFlow(machine({ ...env, PYTHONNOUSERSITE: '1' }))).toBeNull();
  });

  test('is not redirected by PYTHONPATH or modules in the current folder', () => {
    const site = putPackage('tensorflow', '2.21.0');
    writeFileSync(join(site, 'json.py'), `open(${JSON.stringify(join(folder, 'ran'))}, 'w')`);
    const host = withPackages();
    const before = process.cwd();
    try {
      process.chdir(site);
      expect(findTensorFlow({ ...host, env: { ...host.env, PYTHONPATH: site } })).toBeNull();
    } finally {
      process.chdir(before);
    }
    expect(existsSync(join(folder, 'ran'))).toBe(false);
  });

  test('another version is passed over, and told in the error', () => {
    const host = withPackages(putPackage('tensorflow', '2.15.1'));
    expect(findTensorFlow(host)).toBeNull();
    expect(() => requireTensorFlow(host)).toThrow(/not on this machine \(python3 has tensorflow 2\.15\.1\)/);
  });

  test('another version does not hide the right one', () => {
    const host = withPackages(putPackage('tensorflow', '2.15.1'), putPackage('tensorflow-cpu', '2.21.0'));
    expect(findTensorFlow(host)).toMatchObject({ version: '2.21.0', source: 'python' });
  });

  test('a package without the C library is told', () => {
    const site = putPackage('tensorflow', '2.21.0');
    rmSync(join(site, 'tensorflow', MAIN));
    expect(() => requireTensorFlow(withPackages(site))).toThrow(/tensorflow 2\.21\.0 without its C library/);
  });
});

test.each([
  { platform: 'win32', arch: 'x64', glibc: undefined, message: /no C library for win32-x64 → .*WSL2/ },
  { platform: 'darwin', arch: 'x64', glibc: undefined, message: /for darwin-x64 → .*Apple silicon/ },
  { platform: 'linux', arch: 'riscv64', glibc: '2.39', message: /no C library for linux-riscv64/ },
  {
    platform: 'linux',
    arch: 'x64',
    glibc: undefined,
    message: /glibc 2\.27 .* this is a Linux without glibc/,
  },
  { platform: 'linux', arch: 'arm64', glibc: '2.17', message: /this is glibc 2\.17 →/ },
] as const)('$platform $arch with glibc $glibc is not supported', ({ message, ...rest }) => {
  const host = machine({}, rest);
  expect(() => requireTensorFlow(host)).toThrow(expect.objectContaining({ code: 'platform-unsupported' }));
  expect(() => requireTensorFlow(host)).toThrow(message);
});

test.each([
  ['linux', 'x64', '2.27'],
  ['linux', 'arm64', '3.0'],
  ['darwin', 'arm64', undefined],
] as const)('%s %s with glibc %s is supported', (platform, arch, glibc) => {
  expect(platformOf(machine({}, { platform, arch, glibc }))).toBe(`${platform}-${arch}`);
});

test('a Mac has its own file names', () => {
  const names = ['libtensorflow_cc.2.dylib', 'libtensorflow_framework.2.dylib'];
  const at = putLibraries(join(folder, 'mac'), names);
  const host = machine(
    { CT_ENSEMBLE_TENSORFLOW: at },
    { platform: 'darwin', arch: 'arm64', glibc: undefined },
  );
  expect(findTensorFlow(host)?.main).toBe(join(at, 'libtensorflow_cc.2.dylib'));
});
