// Small wheels, true zip files, and two pips: one of a few lines that can fail in every way, and the true one without a network.
import { transformSync } from '@swc/core';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { hostname, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { crc32, deflateRawSync } from 'node:zlib';
import { install, type Wheel } from './install.ts';
import type { Host } from './library.ts';

const MAIN = 'tensorflow/libtensorflow_cc.so.2';
const FRAMEWORK = 'tensorflow/libtensorflow_framework.so.2';
const WHEEL = 'tensorflow_cpu-2.21.0-cp312-cp312-manylinux_2_27_x86_64.whl';
const contents: Record<string, Buffer> = {
  'tensorflow/__init__.py': Buffer.from('not wanted'),
  [MAIN]: Buffer.alloc(300_000, 'main library '),
  [FRAMEWORK]: Buffer.from('framework library'),
  'tensorflow_cpu-2.21.0.dist-info/METADATA': Buffer.from(
    'Metadata-Version: 2.1\nName: tensorflow-cpu\nVersion: 2.21.0\n',
  ),
  'tensorflow_cpu-2.21.0.dist-info/WHEEL': Buffer.from(
    'Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: cp312-cp312-manylinux_2_27_x86_64\n',
  ),
  'tensorflow_cpu-2.21.0.dist-info/RECORD': Buffer.from(''),
};

let folder: string;
let cache: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ct-ensemble-install-'));
  cache = join(folder, 'cache');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A zip file as the format's specification lays it out. `wrongCrc` names a file whose stored CRC is wrong. */
function zip(files: Record<string, Buffer>, wrongCrc?: string): Buffer {
  const bodies: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const [name, content] of Object.entries(files)) {
    const packed = deflateRawSync(content);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(8, 4);
    common.writeUInt16LE(0x21, 8);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(name.length, 22);
    if (name === wrongCrc) common.writeUInt32LE(7, 10);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), packed]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(offset, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), common, rest, Buffer.from(name)]));
    bodies.push(local);
    offset += local.length;
  }
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06');
  end.writeUInt16LE(directory.length, 8);
  end.writeUInt16LE(directory.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...bodies, ...directory, end]);
}

const bytes = zip(contents);
const wheel: Wheel = {
  package: 'tensorflow-cpu',
  tag: 'manylinux_2_27_x86_64',
  sha256: createHash('sha256').update(bytes).digest('hex'),
  bytes: bytes.length,
  libraryBytes: contents[MAIN]!.length + contents[FRAMEWORK]!.length,
};

/** A machine whose python3 has no TensorFlow and whose pip is this JavaScript; `save(bytes)` there "downloads". */
function machine(pip: string, download = bytes): Host {
  const bin = join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'wheel'), download);
  writeFileSync(
    join(bin, 'python3.cjs'),
    `const fs = require('fs'), path = require('path');
     const args = process.argv.slice(2), after = (name) => args[args.indexOf(name) + 1];
     const bytes = fs.readFileSync(path.join(__dirname, 'wheel'));
     const save = (content) => fs.writeFileSync(path.join(after('--dest'), '${WHEEL}'), content);
     const fail = (text) => { console.error(text); process.exit(1); };
     if (args[0] === '-c') console.log('[]'); else { ${pip} }`,
  );
  writeFileSync(join(bin, 'python3'), `#!/bin/sh\nexec "${process.execPath}" "${bin}/python3.cjs" "$@"\n`);
  chmodSync(join(bin, 'python3'), 0o755);
  return { platform: 'linux', arch: 'x64', glibc: '2.36', env: { PATH: bin, CT_ENSEMBLE_CACHE: cache } };
}

const quiet = () => undefined;
const inCache = () => (existsSync(cache) ? readdirSync(cache).sort() : []);
const installed = 'tensorflow-2.21.0-linux-x64';

function expectInstalled() {
  expect(inCache()).toEqual([installed]);
  expect(readdirSync(join(cache, installed)).sort()).toEqual([
    'libtensorflow_cc.so.2',
    'libtensorflow_framework.so.2',
    'source.json',
  ]);
  for (const name of [MAIN, FRAMEWORK]) {
    expect(readFileSync(join(cache, installed, name.split('/')[1]!)).equals(contents[name]!)).toBe(true);
  }
}

test('the two libraries and their source arrive, and a line says where; the second time nothing is asked of pip', async () => {
  const lines: string[] = [];
  const library = await install({ host: machine('save(bytes)'), wheel, log: (line) => lines.push(line) });
  expect(library).toEqual({
    folder: join(cache, installed),
    framework: join(cache, installed, 'libtensorflow_framework.so.2'),
    main: join(cache, installed, 'libtensorflow_cc.so.2'),
    version: '2.21.0',
    source: 'cache',
  });
  expectInstalled();
  expect(JSON.parse(readFileSync(join(library.folder, 'source.json'), 'utf8'))).toEqual({
    package: 'tensorflow-cpu',
    version: '2.21.0',
    sha256: wheel.sha256,
    files: { 'libtensorflow_cc.so.2': 300_000, 'libtensorflow_framework.so.2': 17 },
  });
  expect(lines.at(-1)).toMatch(new RegExp(`^TensorFlow 2\\.21\\.0 is in ${library.folder} \\(.* s\\)$`));

  lines.length = 0;
  const again = await install({ host: machine('fail("asked")'), wheel, log: (line) => lines.push(line) });
  expect([again, lines]).toEqual([library, []]);
});

test.each([
  {
    what: 'no pip',
    pip: 'fail("/usr/bin/python3: No module named pip")',
    code: 'pip-missing',
    message: /^python3 has no pip → .*python3-pip/,
  },
  {
    what: 'no network',
    pip: 'console.error("WARNING: Retrying"); fail("ERROR: No matching distribution found\\n")',
    code: 'download-failed',
    message: /exit 1: ERROR: No matching distribution found\) → check the network.*CT_ENSEMBLE_CACHE/,
  },
  {
    what: 'a cut download',
    pip: 'save(bytes.subarray(0, 999)); fail("ERROR: IncompleteRead")',
    code: 'download-failed',
    message: /exit 1: ERROR: IncompleteRead/,
  },
  {
    what: 'a cut wheel that pip let through',
    pip: 'save(bytes.subarray(0, 999))',
    code: 'library-damaged',
    message: /^tensorflow_cpu.*\.whl cannot be unpacked: .* → run it again/,
  },
  { what: 'a pip that fetches nothing', pip: '', code: 'download-failed', message: /exit 0: no message/ },
  {
    what: 'a pip that is killed',
    pip: 'process.kill(process.pid, "SIGKILL")',
    code: 'download-failed',
    message: /exit null/,
  },
  {
    what: 'a full disk',
    pip: 'fail("ERROR: Could not install packages: [Errno 28] No space left on device")',
    code: 'disk-full',
    message: /CT_ENSEMBLE_CACHE/,
  },
])('$what leaves nothing behind and says what to do', async ({ pip, code, message }) => {
  const run = () => install({ host: machine(pip), wheel, log: quiet });
  await expect(run()).rejects.toMatchObject({ name: 'EngineError', code });
  await expect(run()).rejects.toThrow(message);
  expect(inCache()).toEqual([]);
});

test.each([
  ['lacks a library', zip({ [MAIN]: contents[MAIN]! }), /holds no tensorflow\/libtensorflow_framework/],
  [
    'has a library that fails its checksum',
    zip(contents, MAIN),
    /libtensorflow_cc\.so\.2 fails its checksum/,
  ],
])('a wheel that %s is refused', async (_, download, message) => {
  const run = install({ host: machine('save(bytes)', download), wheel, log: quiet });
  await expect(run).rejects.toThrow(message);
  expect(inCache()).toEqual([]);
});

test('no python3', async () => {
  const host = machine('');
  const run = install({ host: { ...host, env: { ...host.env, PATH: folder } }, wheel, log: quiet });
  await expect(run).rejects.toMatchObject({
    code: 'pip-missing',
    message: expect.stringMatching(/^python3, .*PATH/),
  });
  expect(inCache()).toEqual([]);
});

test('the disk is measured before anything is fetched', async () => {
  const run = install({ host: machine('save(bytes)'), wheel: { ...wheel, libraryBytes: 1e18 }, log: quiet });
  await expect(run).rejects.toMatchObject({
    code: 'disk-full',
    message: expect.stringContaining('takes 1000000000000 MB'),
  });
  expect(inCache()).toEqual([]);
});

test('a cache that cannot be a folder, a platform without a wheel, a wrong variable: an error each', async () => {
  const host = machine('save(bytes)');
  const withEnv = (env: NodeJS.ProcessEnv) =>
    install({ host: { ...host, env: { ...host.env, ...env } }, wheel, log: quiet });
  writeFileSync(join(folder, 'file'), '');
  await expect(withEnv({ CT_ENSEMBLE_CACHE: join(folder, 'file') })).rejects.toThrow(
    /cannot write in .*file: .* → set CT_E/,
  );
  await expect(withEnv({ CT_ENSEMBLE_TENSORFLOW: '/nowhere' })).rejects.toMatchObject({
    code: 'library-missing',
  });
  await expect(install({ host: { ...host, platform: 'win32' }, log: quiet })).rejects.toMatchObject({
    code: 'platform-unsupported',
  });
  expect(inCache()).toEqual([]);
});

test('folders of dead processes are removed, those of living ones and of other machines kept for a day', async () => {
  const dead = spawnSync(process.execPath, ['-e', '']).pid;
  const name = (machine: string, pid: number) => `.${installed}@${machine}.${pid}.Ab12Cd`;
  const [gone, alive, elsewhere, old] = [
    name(hostname(), dead),
    name(hostname(), process.ppid),
    name('other.example', dead),
    name('another.example', dead),
  ];
  for (const leftover of [gone, alive, elsewhere, old]) {
    mkdirSync(join(cache, leftover), { recursive: true });
    writeFileSync(join(cache, leftover, 'part'), '');
  }
  utimesSync(join(cache, old), new Date(0), new Date(0));
  await install({ host: machine('save(bytes)'), wheel, log: quiet });
  expect(inCache()).toEqual([alive, elsewhere, installed].sort());
});

describe('in processes of their own', () => {
  /** Starts `install` in a new process; the sources are stripped of their types, for Node 20. */
  function start(host: Host): {
    child: ChildProcess;
    ended: Promise<{ code: number | null; output: string }>;
  } {
    const code = join(folder, 'code');
    const require = createRequire(import.meta.url);
    mkdirSync(join(code, 'node_modules'), { recursive: true });
    if (!existsSync(join(code, 'node_modules/yauzl'))) {
      symlinkSync(dirname(require.resolve('yauzl')), join(code, 'node_modules/yauzl'));
    }
    for (const name of ['errors', 'library', 'install']) {
      const source = readFileSync(new URL(`./${name}.ts`, import.meta.url), 'utf8');
      const stripped = transformSync(source, {
        jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
      });
      writeFileSync(join(code, `${name}.mjs`), stripped.code.replaceAll(/(?<=from '\.\/\w+)\.ts/g, '.mjs'));
    }
    writeFileSync(
      join(code, 'main.mjs'),
      `import { install } from './install.mjs';
       try {
         console.log((await install(JSON.parse(process.argv[2]))).folder);
       } catch (error) {
         console.log(error.code);
         process.exitCode = 3;
       }`,
    );
    const child = spawn(process.execPath, [join(code, 'main.mjs'), JSON.stringify({ host, wheel })], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let output = '';
    child.stdout!.on('data', (chunk: Buffer) => (output += chunk.toString()));
    const ended = new Promise<{ code: number | null; output: string }>((done) => {
      child.once('close', (exit) => done({ code: exit, output: output.trim() }));
    });
    return { child, ended };
  }

  test('two at once: one is first, both serve, nothing is left', async () => {
    // Each pip waits until the other has started too.
    const host = machine(
      `const met = path.join(__dirname, 'met');
       fs.mkdirSync(path.join(met, String(process.pid)), { recursive: true });
       const timer = setInterval(() => {
         if (fs.readdirSync(met).length === 2) { clearInterval(timer); save(bytes); }
       }, 10);
       setTimeout(() => process.exit(1), 20_000).unref();`,
    );
    const both = await Promise.all([start(host).ended, start(host).ended]);
    expect(readdirSync(join(folder, 'bin', 'met'))).toHaveLength(2);
    expect(both).toEqual([
      { code: 0, output: join(cache, installed) },
      { code: 0, output: join(cache, installed) },
    ]);
    expectInstalled();
  });

  /** A pip that saves a part, tells its process id and hangs for longer than any of these tests. */
  const hangs = `save(bytes.subarray(0, 999)); fs.writeFileSync(path.join(__dirname, 'pid.part'), String(process.pid));
    fs.renameSync(path.join(__dirname, 'pid.part'), path.join(__dirname, 'pid')); setTimeout(() => {}, 20_000);`;

  async function pipId() {
    const file = join(folder, 'bin', 'pid');
    while (!existsSync(file)) await wait(10);
    return Number(readFileSync(file, 'utf8'));
  }

  test.each(['SIGINT', 'SIGTERM'] as const)('%s ends pip and leaves nothing behind', async (name) => {
    const { child, ended } = start(machine(hangs));
    const pip = await pipId();
    expect(inCache()).toHaveLength(1);
    child.kill(name);
    expect(await ended).toEqual({ code: 3, output: 'stopped' });
    expect(inCache()).toEqual([]);
    expect(() => process.kill(pip, 0)).toThrow('ESRCH');
  });

  test('what SIGKILL leaves is removed by the next one', async () => {
    const { child, ended } = start(machine(hangs));
    const pip = await pipId();
    child.kill('SIGKILL');
    process.kill(pip, 'SIGKILL');
    await ended;
    expect(inCache()).toEqual([expect.stringMatching(`^\\.${installed}@${hostname()}\\.${child.pid}\\.`)]);
    await install({ host: machine('save(bytes)'), wheel, log: quiet });
    expectInstalled();
  });
});

const pip = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;
(pip ? describe : describe.skip)('the true pip, without a network (skipped where there is none)', () => {
  function local(): Host {
    const shelf = join(folder, 'shelf');
    mkdirSync(shelf);
    writeFileSync(join(shelf, WHEEL), bytes);
    const env = { ...process.env, PIP_NO_INDEX: '1', PIP_FIND_LINKS: shelf, PYTHONNOUSERSITE: '1' };
    return { platform: 'linux', arch: 'x64', glibc: '2.36', env: { ...env, CT_ENSEMBLE_CACHE: cache } };
  }

  test('takes the wheel of the pinned hash', async () => {
    await install({ host: local(), wheel, log: quiet });
    expectInstalled();
  });

  test('refuses another', async () => {
    const run = install({ host: local(), wheel: { ...wheel, sha256: '0'.repeat(64) }, log: quiet });
    await expect(run).rejects.toMatchObject({
      code: 'hash-mismatch',
      message: expect.stringContaining(`has SHA-256 ${wheel.sha256}, not 000`),
    });
    expect(inCache()).toEqual([]);
  });

  test('finds nothing', async () => {
    const host = local();
    rmSync(join(folder, 'shelf', WHEEL));
    await expect(install({ host, wheel, log: quiet })).rejects.toThrow(
      /exit 1: ERROR: No matching distribution found for tensorflow-cpu==2\.21\.0/,
    );
    expect(inCache()).toEqual([]);
  });
});
