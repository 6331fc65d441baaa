// Installation of small wheels, which are valid zip files, with two kinds of pip: a simulated one that can fail in every
// way, and the real one without a network.
import { transformSync } from '@swc/core';
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { hostname, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { crc32, deflateRawSync } from 'node:zlib';
import { install } from './install.ts';
import { findGpuTensorFlow, findTensorFlow, type Host, hasCuda } from './library.ts';
import { gpuWheels, type Wheel } from './wheels.ts';

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

/** A zip file, written from the format's specification. `wrongCrc` names a file to store with a wrong CRC. */
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
  version: '2.21.0',
  tag: 'manylinux_2_27_x86_64',
  sha256: createHash('sha256').update(bytes).digest('hex'),
  bytes: bytes.length,
  unpacked: contents[MAIN]!.length + contents[FRAMEWORK]!.length,
};
const pins = [wheel];

function sha256Of(content: Buffer) {
  return createHash('sha256').update(content).digest('hex');
}

/** The pins for a wheel of other content. */
function pinsOf(content: Buffer): Wheel[] {
  return [{ ...wheel, sha256: sha256Of(content), bytes: content.length }];
}

/** A machine whose python3 has no TensorFlow and whose pip is the given JavaScript, in which `save(bytes)` "downloads". */
function machine(pip: string, download = bytes): Host {
  const bin = join(folder, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'wheel'), download);
  writeFileSync(
    join(bin, 'python3.cjs'),
    `const fs = require('fs'), path = require('path');
     const args = process.argv.slice(2), after = (name) => args[args.indexOf(name) + 1];
     const bytes = fs.readFileSync(path.join(__dirname, 'wheel'));
     const asked = () => fs.readFileSync(after('-r'), 'utf8').split('==')[0];
     const save = (content, name = '${WHEEL}') => fs.writeFileSync(path.join(after('--dest'), name), content);
     const fail = (text) => { console.error(text); process.exit(1); };
     if (args.includes('-c')) console.log('[]'); else { ${pip} }`,
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
    'verified.json',
  ]);
  for (const name of [MAIN, FRAMEWORK]) {
    expect(readFileSync(join(cache, installed, name.split('/')[1]!)).equals(contents[name]!)).toBe(true);
  }
}

test('the two libraries and their source arrive, and a line says where; the second time nothing is asked of pip', async () => {
  const lines: string[] = [];
  const library = await install({ host: machine('save(bytes)'), pins, log: (line) => lines.push(line) });
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
    digests: {
      'libtensorflow_cc.so.2': sha256Of(contents[MAIN]!),
      'libtensorflow_framework.so.2': sha256Of(contents[FRAMEWORK]!),
    },
  });
  expect(lines.at(-1)).toMatch(
    new RegExp(`^tensorflow-cpu 2\\.21\\.0 was installed in ${library.folder} \\(.* s\\)$`),
  );

  lines.length = 0;
  const again = await install({ host: machine('fail("asked")'), pins, log: (line) => lines.push(line) });
  expect([again, lines]).toEqual([library, []]);
});

test('the required disk space is reported first', async () => {
  const lines: string[] = [];
  await install({ host: machine('save(bytes)'), pins, log: (line) => lines.push(line) });
  expect(lines[0]).toMatch(/^TensorFlow 2\.21\.0: 0 MB to fetch, 0 MB unpacked; 0 MB of the \d+ MB free in /);
});

describe('for GPUs', () => {
  const packages: Record<string, Record<string, Buffer>> = {
    tensorflow: {
      [MAIN]: contents[MAIN]!,
      [FRAMEWORK]: contents[FRAMEWORK]!,
      'tensorflow/include/a.h': Buffer.from('-'),
    },
    'nvidia-cudnn-cu12': {
      'nvidia/__init__.py': Buffer.from(''),
      'nvidia/cudnn/include/cudnn.h': Buffer.from('not wanted'),
      'nvidia/cudnn/lib/libcudnn.so.9': Buffer.alloc(5000, 'cudnn '),
    },
    'nvidia-cuda-nvcc-cu12': {
      'nvidia/cuda_nvcc/bin/ptxas': Buffer.from('#!/bin/sh\n'),
      'nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc': Buffer.from('bitcode'),
      'nvidia/cuda_nvcc/nvvm/lib64/libnvvm.so': Buffer.from('not wanted'),
    },
    'nvidia-cuda-nvrtc-cu12': {
      'nvidia/cuda_nvrtc/lib/libnvrtc.so.12': Buffer.from('nvrtc'),
      'nvidia/cuda_nvrtc/lib/libnvrtc.alt.so.12': Buffer.from('not wanted'),
      'nvidia/cuda_nvrtc/lib/libnvrtc_static.a': Buffer.from('not wanted'),
    },
  };
  const wanted = [
    'nvidia/cuda_nvcc/bin/ptxas',
    'nvidia/cuda_nvcc/nvvm/libdevice/libdevice.10.bc',
    'nvidia/cuda_nvrtc/lib/libnvrtc.so.12',
    'nvidia/cudnn/lib/libcudnn.so.9',
    MAIN,
    FRAMEWORK,
  ];
  const zips = Object.fromEntries(Object.entries(packages).map(([name, files]) => [name, zip(files)]));
  const nameOf = (name: string) => `${name.replaceAll('-', '_')}-1.0-py3-none-manylinux_2_27_x86_64.whl`;
  const gpuPins = Object.entries(zips).map(([name, content]): Wheel => ({
    package: name,
    version: '1.0',
    tag: 'manylinux_2_27_x86_64',
    sha256: createHash('sha256').update(content).digest('hex'),
    bytes: content.length,
    unpacked: 1,
  }));
  const copy = `${installed}-gpu`;

  /** Makes a folder with the four wheels. */
  function shelf() {
    const at = join(folder, 'shelf');
    mkdirSync(at, { recursive: true });
    for (const [name, content] of Object.entries(zips)) writeFileSync(join(at, nameOf(name)), content);
    return at;
  }

  /** A machine whose pip takes wheels from the folder `shelf` and records the requested packages in a file. */
  function gpuMachine(unless = ''): Host {
    return machine(
      `fs.appendFileSync(path.join(__dirname, 'asked'), asked() + '\\n');
       ${unless}
       const name = fs.readdirSync('${shelf()}').find((file) => file.startsWith(asked().replaceAll('-', '_') + '-'));
       save(fs.readFileSync(path.join('${shelf()}', name)), name);`,
    );
  }
  const askedOfPip = () => {
    const file = join(folder, 'bin', 'asked');
    const asked = existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
    rmSync(file, { force: true });
    return asked;
  };

  function expectCopy() {
    expect(inCache()).toEqual([copy]);
    const files = readdirSync(join(cache, copy), { recursive: true, withFileTypes: true });
    expect(
      files
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).slice(join(cache, copy).length + 1))
        .sort(),
    ).toEqual([...wanted, 'source.json', 'verified.json'].sort());
    const ptxas = join(cache, copy, 'nvidia/cuda_nvcc/bin/ptxas');
    expect(statSync(ptxas).mode & 0o111).toBe(0o111);
  }

  test('TensorFlow and CUDA arrive as siblings, what is not needed stays out', async () => {
    const library = await install({ host: gpuMachine(), gpu: true, pins: gpuPins, log: quiet });
    expect(library.folder).toBe(join(cache, copy, 'tensorflow'));
    expectCopy();
    expect(hasCuda(library)).toBe(true);
    const source = JSON.parse(readFileSync(join(cache, copy, 'source.json'), 'utf8'));
    expect(source).toMatchObject({ package: 'tensorflow', sha256: gpuPins[0]!.sha256 });
    expect(source.cuda.map((pin: Wheel) => pin.package)).toEqual(Object.keys(packages).slice(1));
    expect(source.files['nvidia/cudnn/lib/libcudnn.so.9']).toBe(5000);
  });

  test('wheels completed before a failure are not downloaded again', async () => {
    const fails = gpuMachine(`if (asked() === 'nvidia-cuda-nvcc-cu12') fail('ERROR: Read timed out.');`);
    const first = install({ host: fails, gpu: true, pins: gpuPins, log: quiet });
    await expect(first).rejects.toMatchObject({ code: 'download-failed' });
    expect(askedOfPip()).toEqual(['tensorflow', 'nvidia-cudnn-cu12', 'nvidia-cuda-nvcc-cu12']);
    expect(readdirSync(join(cache, 'wheels')).sort()).toEqual([
      nameOf('nvidia-cudnn-cu12'),
      nameOf('tensorflow'),
    ]);
    await install({ host: gpuMachine(), gpu: true, pins: gpuPins, log: quiet });
    expect(askedOfPip()).toEqual(['nvidia-cuda-nvcc-cu12', 'nvidia-cuda-nvrtc-cu12']);
    expectCopy();
  });

  test('a damaged kept wheel is downloaded again', async () => {
    mkdirSync(join(cache, 'wheels'), { recursive: true });
    const cut = Buffer.from(zips['tensorflow']!);
    cut[50]! ^= 1;
    writeFileSync(join(cache, 'wheels', nameOf('tensorflow')), cut);
    await install({ host: gpuMachine(), gpu: true, pins: gpuPins, log: quiet });
    expect(askedOfPip()).toHaveLength(4);
    expectCopy();
  });

  test('complete wheels of a killed run are kept', async () => {
    const dead = spawnSync(process.execPath, ['-e', '']).pid;
    const leftover = join(cache, `.${copy}@${hostname()}.${dead}.Ab12Cd`, 'wheels');
    mkdirSync(leftover, { recursive: true });
    writeFileSync(join(leftover, nameOf('tensorflow')), zips['tensorflow']!);
    await install({ host: gpuMachine(), gpu: true, pins: gpuPins, log: quiet });
    expect(askedOfPip()).not.toContain('tensorflow');
    expectCopy();
  });

  test('from a folder of wheels, without pip; the folder stays as it is', async () => {
    const host = machine('fail("asked")');
    await install({ host, gpu: true, pins: gpuPins, wheels: shelf(), log: quiet });
    expectCopy();
    expect(readdirSync(shelf())).toHaveLength(4);
  });

  test('a folder that lacks a wheel, or has another of its name, is refused by name', async () => {
    const host = machine('fail("asked")');
    const from = (wheels: string) => install({ host, gpu: true, pins: gpuPins, wheels, log: quiet });
    rmSync(join(shelf(), nameOf('nvidia-cudnn-cu12')));
    await expect(from(join(folder, 'shelf'))).rejects.toThrow(
      /shelf has no nvidia-cudnn-cu12 1\.0 \(manylinux_2_27_x86_64\) → download them .* pip download/,
    );
    writeFileSync(join(folder, 'shelf', nameOf('nvidia-cudnn-cu12')), 'another');
    await expect(from(join(folder, 'shelf'))).rejects.toMatchObject({ code: 'hash-mismatch' });
    await expect(from('/nowhere')).rejects.toThrow(/folder \/nowhere cannot be read/);
    expect(inCache()).toEqual([]);
  });

  test('a wheel without CUDA libraries, a machine without such wheels, a variable without CUDA: an error each', async () => {
    const empty = zip({ 'nvidia/__init__.py': Buffer.from('') });
    const sha256 = createHash('sha256').update(empty).digest('hex');
    const pinsWith = gpuPins.map((pin, i) => (i === 1 ? { ...pin, sha256, bytes: empty.length } : pin));
    writeFileSync(join(shelf(), nameOf('nvidia-cudnn-cu12')), empty);
    const host = machine('fail("asked")');
    const run = install({ host, gpu: true, pins: pinsWith, wheels: join(folder, 'shelf'), log: quiet });
    await expect(run).rejects.toThrow(/cudnn.*holds no CUDA libraries/);
    const arm = install({ host: { ...host, arch: 'arm64' }, gpu: true, log: quiet });
    await expect(arm).rejects.toThrow(/published for linux-x64, not linux-arm64/);
    await install({ host: machine('save(bytes)'), pins, log: quiet });
    const env = { ...host.env, CT_ENSEMBLE_TENSORFLOW: join(cache, installed) };
    await expect(install({ host: { ...host, env }, gpu: true, log: quiet })).rejects.toThrow(
      /has no CUDA libraries .*beside it → unset it/,
    );
  });

  test('the copy for GPUs comes first where a driver is, else the one for CPUs', async () => {
    await install({ host: machine('save(bytes)'), pins, log: quiet });
    const host = machine('fail("asked")');
    await install({ host, gpu: true, pins: gpuPins, wheels: shelf(), log: quiet });
    expect(findTensorFlow(host)?.folder).toBe(join(cache, installed));
    expect(findTensorFlow({ ...host, nvidia: true })?.folder).toBe(join(cache, copy, 'tensorflow'));
    expect(findGpuTensorFlow(host)?.folder).toBe(join(cache, copy, 'tensorflow'));
    rmSync(join(cache, installed), { recursive: true });
    expect(findTensorFlow(host)?.folder).toBe(join(cache, copy, 'tensorflow'));
    rmSync(join(cache, copy, 'nvidia/cudnn/lib/libcudnn.so.9'));
    expect(() => findTensorFlow(host)).toThrow(
      /is damaged: nvidia\/cudnn\/lib\/libcudnn\.so\.9 is missing → run .*engine:install --gpu`, which installs it again$/,
    );
  });

  test('the pins are of packages and versions that TensorFlow 2.21.0 asks for in its extra and-cuda', () => {
    // From the METADATA of the wheel: [minimum, upper bound).
    const asks: Record<string, [atLeast: string, below: string]> = {
      'nvidia-cublas-cu12': ['12.5.3.2', '13.0'],
      'nvidia-cuda-cupti-cu12': ['12.5.82', '13.0'],
      'nvidia-cuda-nvcc-cu12': ['12.5.82', '13.0'],
      'nvidia-cuda-nvrtc-cu12': ['12.5.82', '13.0'],
      'nvidia-cuda-runtime-cu12': ['12.5.82', '13.0'],
      'nvidia-cudnn-cu12': ['9.3.0.75', '10.0'],
      'nvidia-cufft-cu12': ['11.2.3.61', '12.0'],
      'nvidia-curand-cu12': ['10.3.6.82', '11.0'],
      'nvidia-cusolver-cu12': ['11.6.3.83', '12.0'],
      'nvidia-cusparse-cu12': ['12.5.1.3', '13.0'],
      'nvidia-nccl-cu12': ['2.27.7', '3.0'],
      'nvidia-nvjitlink-cu12': ['12.5.82', '13.0'],
    };
    const order = new Intl.Collator('en', { numeric: true });
    const [tensorflow, ...cuda] = gpuWheels;
    expect(tensorflow).toMatchObject({ package: 'tensorflow', version: '2.21.0' });
    expect(cuda.map((pin) => pin.package).sort()).toEqual(Object.keys(asks));
    for (const { package: name, version } of cuda) {
      const [atLeast, below] = asks[name]!;
      expect(order.compare(version, atLeast)).toBeGreaterThanOrEqual(0);
      expect(order.compare(version, below)).toBeLessThan(0);
    }
    expect(new Set(gpuWheels.map(({ sha256 }) => sha256)).size).toBe(13);
  });
});

test.each([
  {
    what: 'no pip',
    pip: 'fail("/usr/bin/python3: No module named pip")',
    code: 'pip-missing',
    message: /^python3 has no pip .*→ .*python3-pip/,
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
    code: 'hash-mismatch',
    message:
      /^tensorflow_cpu.*\.whl, which pip saved, has SHA-256 \w{64} \(999 bytes\), not \w{64} .* → run it again/,
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
  const run = () => install({ host: machine(pip), pins, log: quiet });
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
  const run = install({ host: machine('save(bytes)', download), pins: pinsOf(download), log: quiet });
  await expect(run).rejects.toThrow(message);
  expect(inCache()).toEqual([]);
});

test('no python3', async () => {
  const host = machine('');
  const run = install({ host: { ...host, env: { ...host.env, PATH: folder } }, pins, log: quiet });
  await expect(run).rejects.toMatchObject({
    code: 'pip-missing',
    message: expect.stringMatching(/^python3, .*PATH/),
  });
  expect(inCache()).toEqual([]);
});

test('a wheel that is no zip file is refused', async () => {
  const text = Buffer.from('no zip file');
  const run = install({ host: machine('save(bytes)', text), pins: pinsOf(text), log: quiet });
  await expect(run).rejects.toMatchObject({
    code: 'library-damaged',
    message: expect.stringMatching(/^tensorflow_cpu.*\.whl cannot be unpacked: .* → run it again/),
  });
  expect(inCache()).toEqual([]);
});

test('a wheel of the right size with another SHA-256 is removed before it is unpacked', async () => {
  const other = Buffer.from(bytes);
  other[other.length - 30]! ^= 1;
  const run = install({ host: machine('save(bytes)', other), pins, log: quiet });
  await expect(run).rejects.toMatchObject({
    code: 'hash-mismatch',
    message: expect.stringContaining(
      `has SHA-256 ${sha256Of(other)} (${bytes.length} bytes), not ${wheel.sha256}`,
    ),
  });
  expect(inCache()).toEqual([]);
});

describe('a copy in the cache', () => {
  const main = () => join(cache, installed, basename(MAIN));
  const put = () => install({ host: machine('save(bytes)'), pins, log: quiet });
  const offline = () => machine('fail("ERROR: asked")');
  const stampFile = () => join(cache, installed, 'verified.json');

  /** Overwrites a byte in the middle of the library and, unless told otherwise, keeps its modification time. */
  function damage({ keepTime = true } = {}) {
    const { atime, mtime } = statSync(main());
    const content = readFileSync(main());
    content[150_000]! ^= 1;
    writeFileSync(main(), content);
    if (keepTime) utimesSync(main(), atime, mtime);
  }
  /** Makes the last check of the digests two days old. */
  function age() {
    const stamp = JSON.parse(readFileSync(stampFile(), 'utf8'));
    stamp.verifiedAt = new Date(Date.now() - 2 * 86_400_000).toISOString();
    stamp.mtimes[basename(MAIN)] = statSync(main()).mtimeMs;
    writeFileSync(stampFile(), JSON.stringify(stamp));
  }

  test('that was changed is refused at load, and the installation replaces it', async () => {
    await put();
    damage({ keepTime: false });
    const load = () => findTensorFlow(offline());
    expect(load).toThrow(expect.objectContaining({ code: 'library-damaged' }));
    expect(load).toThrow(
      /is damaged: libtensorflow_cc\.so\.2 has another SHA-256 than when it was installed → run `nx run engine:install`/,
    );
    const lines: string[] = [];
    await install({ host: machine('save(bytes)'), pins, log: (line) => lines.push(line) });
    expect(lines[0]).toMatch(/is damaged: libtensorflow_cc\.so\.2 has another SHA-256/);
    expectInstalled();
    expect(load()?.folder).toBe(join(cache, installed));
  });

  test('that changed under its old modification time is found by the next check of the digests', async () => {
    await put();
    damage();
    age();
    expect(findTensorFlow(offline())).not.toBeNull();
    await put();
    expectInstalled();
  });

  test('that is damaged stays, and is refused, if the new one cannot be fetched', async () => {
    await put();
    rmSync(main());
    await expect(install({ host: offline(), pins, log: quiet })).rejects.toMatchObject({
      code: 'download-failed',
    });
    expect(() => findTensorFlow(offline())).toThrow(/libtensorflow_cc\.so\.2 is missing/);
    await put();
    expectInstalled();
  });

  test('that is sound gets a new time of check after a day, and not before', async () => {
    await put();
    const first = readFileSync(stampFile(), 'utf8');
    await install({ host: offline(), pins, log: quiet });
    expect(readFileSync(stampFile(), 'utf8')).toBe(first);
    age();
    await install({ host: offline(), pins, log: quiet });
    expect(Date.now() - Date.parse(JSON.parse(readFileSync(stampFile(), 'utf8')).verifiedAt)).toBeLessThan(
      86_400_000,
    );
  });

  test('that was copied, with new modification times, is sound', async () => {
    await put();
    utimesSync(main(), new Date(0), new Date(0));
    expect(findTensorFlow(offline())).not.toBeNull();
    await install({ host: offline(), pins, log: quiet });
    expect(JSON.parse(readFileSync(stampFile(), 'utf8')).mtimes[basename(MAIN)]).toBe(0);
  });

  test('of an earlier version, without digests, gets them, and a line says so', async () => {
    await put();
    const file = join(cache, installed, 'source.json');
    const { digests, ...source } = JSON.parse(readFileSync(file, 'utf8'));
    writeFileSync(file, JSON.stringify(source));
    rmSync(stampFile());
    expect(findTensorFlow(offline())).not.toBeNull();
    const lines: string[] = [];
    await install({ host: offline(), pins, log: (line) => lines.push(line) });
    expect(lines).toEqual([expect.stringMatching(/was installed without digests: .* were recorded/)]);
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual({ ...source, digests });
  });
});

test('pip is started isolated, in a new folder, without variables that redirect Python and with its own', async () => {
  const record = join(folder, 'started.json');
  const host = machine(
    `const { env } = process;
     fs.writeFileSync('${record}', JSON.stringify({ args: args.slice(0, 4), cwd: process.cwd(), env }));
     save(bytes);`,
  );
  const env = {
    PYTHONPATH: '/elsewhere',
    PYTHONHOME: '/elsewhere',
    PYTHONSTARTUP: '/elsewhere/start.py',
    PYTHONNOUSERSITE: '1',
    PIP_INDEX_URL: 'https://mirror.example/simple',
    PIP_CERT: 'package.json',
  };
  await install({ host: { ...host, env: { ...host.env, ...env } }, pins, log: quiet });
  const started = JSON.parse(readFileSync(record, 'utf8'));
  expect(started.args).toEqual(['-I', '-m', 'pip', 'download']);
  expect(started.cwd).toMatch(new RegExp(`^${cache}/\\.${installed}@.*/pip$`));
  expect(Object.keys(started.env).filter((name) => name.startsWith('PYTHON'))).toEqual(['PYTHONNOUSERSITE']);
  expect(started.env).toMatchObject({
    PIP_INDEX_URL: 'https://mirror.example/simple',
    PIP_CERT: join(process.cwd(), 'package.json'),
  });
});

test('the disk is measured before anything is fetched', async () => {
  const run = install({ host: machine('save(bytes)'), pins: [{ ...wheel, unpacked: 1e18 }], log: quiet });
  await expect(run).rejects.toMatchObject({
    code: 'disk-full',
    message: expect.stringContaining('takes 1000000000000 MB'),
  });
  expect(inCache()).toEqual([]);
});

test('a cache that cannot be a folder, a platform without a wheel, a wrong variable: an error each', async () => {
  const host = machine('save(bytes)');
  const withEnv = (env: NodeJS.ProcessEnv) =>
    install({ host: { ...host, env: { ...host.env, ...env } }, pins, log: quiet });
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
  await install({ host: machine('save(bytes)'), pins, log: quiet });
  expect(inCache()).toEqual([alive, elsewhere, installed].sort());
});

describe('in processes of their own', () => {
  /** Starts `install` in a new process. Types are stripped from the sources, because Node 20 cannot run TypeScript. */
  function start(host: Host): {
    child: ChildProcess;
    ended: Promise<{ code: number | null; output: string }>;
  } {
    const code = join(folder, 'code');
    const modules = ['cache-folder', 'cached-copy', 'python', 'library', 'wheels', 'install'].map(
      (name) => `./${name}`,
    );
    const require = createRequire(import.meta.url);
    mkdirSync(join(code, 'node_modules'), { recursive: true });
    if (!existsSync(join(code, 'node_modules/yauzl'))) {
      symlinkSync(dirname(require.resolve('yauzl')), join(code, 'node_modules/yauzl'));
    }
    for (const path of ['../errors', ...modules]) {
      const source = readFileSync(new URL(`${path}.ts`, import.meta.url), 'utf8');
      const stripped = transformSync(source, {
        jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
      });
      const imports = stripped.code.replaceAll(/from '\.{1,2}\/([\w-]+)\.ts'/g, "from './$1.mjs'");
      writeFileSync(join(code, `${basename(path)}.mjs`), imports);
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
    const child = spawn(process.execPath, [join(code, 'main.mjs'), JSON.stringify({ host, pins })], {
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

  /** A pip that saves part of the wheel, writes its process id to a file, and hangs for longer than the tests wait. */
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
    await install({ host: machine('save(bytes)'), pins, log: quiet });
    expectInstalled();
  });
});

const pip = spawnSync('python3', ['-m', 'pip', '--version']).status === 0;
(pip ? describe : describe.skip)('the real pip, without a network (skipped if there is none)', () => {
  function local(): Host {
    const shelf = join(folder, 'shelf');
    mkdirSync(shelf);
    writeFileSync(join(shelf, WHEEL), bytes);
    const env = { ...process.env, PIP_NO_INDEX: '1', PIP_FIND_LINKS: shelf, PYTHONNOUSERSITE: '1' };
    return { platform: 'linux', arch: 'x64', glibc: '2.36', env: { ...env, CT_ENSEMBLE_CACHE: cache } };
  }

  test('takes the wheel of the pinned hash', async () => {
    await install({ host: local(), pins, log: quiet });
    expectInstalled();
  });

  test('refuses another', async () => {
    const run = install({ host: local(), pins: [{ ...wheel, sha256: '0'.repeat(64) }], log: quiet });
    await expect(run).rejects.toMatchObject({
      code: 'hash-mismatch',
      message: expect.stringContaining(`has SHA-256 ${wheel.sha256}, not 000`),
    });
    expect(inCache()).toEqual([]);
  });

  test('does not run the pip package of the current folder', async () => {
    const host = local();
    mkdirSync(join(folder, 'pip'));
    for (const name of ['__init__', '__main__'])
      writeFileSync(join(folder, 'pip', `${name}.py`), `open(${JSON.stringify(join(folder, 'ran'))}, 'w')`);
    const runs = spawnSync('python3', ['-m', 'pip', '--version'], { cwd: folder, env: process.env });
    expect([runs.status, existsSync(join(folder, 'ran'))]).toEqual([0, true]); // so it would without isolation
    rmSync(join(folder, 'ran'));
    const before = process.cwd();
    try {
      process.chdir(folder);
      await install({ host: { ...host, env: { ...host.env, PYTHONPATH: folder } }, pins, log: quiet });
    } finally {
      process.chdir(before);
    }
    expect(existsSync(join(folder, 'ran'))).toBe(false);
    expectInstalled();
  });

  test('finds nothing', async () => {
    const host = local();
    rmSync(join(folder, 'shelf', WHEEL));
    await expect(install({ host, pins, log: quiet })).rejects.toThrow(
      /exit 1: ERROR: No matching distribution found for tensorflow-cpu==2\.21\.0/,
    );
    expect(inCache()).toEqual([]);
  });
});
