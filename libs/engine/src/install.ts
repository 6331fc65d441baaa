// Fetches TensorFlow's C library once: pip downloads the pinned wheel and checks its hash, the two libraries are unpacked
// beside it, and one rename puts them in the cache. Whatever goes wrong before the rename leaves nothing behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rename, rm, stat, statfs, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { stripVTControlCharacters } from 'node:util';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { openPromise, type Entry } from 'yauzl';
import { codeOf, EngineError, messageOf } from './errors.ts';
import {
  cachedLibraryFolder,
  cacheFolder,
  findTensorFlow,
  inCache,
  libraryNames,
  platformOf,
  TENSORFLOW_VERSION,
  thisHost,
  type Host,
  type LibrarySource,
  type Platform,
  type TensorFlowLibrary,
} from './library.ts';

export interface InstallOptions {
  /** Takes one line at a time. Without it lines and, on a terminal, progress bars go to standard error. */
  log?: (line: string) => void;
}

/** A wheel of the package index that holds the C library, pinned. */
export interface Wheel {
  package: string;
  /** pip's platform tag. */
  tag: string;
  sha256: string;
  bytes: number;
  libraryBytes: number;
}

const wheels: Record<Platform, Wheel> = {
  'linux-x64': {
    package: 'tensorflow-cpu',
    tag: 'manylinux_2_27_x86_64',
    sha256: 'dcc8afd32930e42d5296b6ee19078b773706830af4ea97fbe503b9f5e0f820cb',
    bytes: 274_000_871,
    libraryBytes: 853_308_936,
  },
  'linux-arm64': {
    package: 'tensorflow',
    tag: 'manylinux_2_27_aarch64',
    sha256: 'b07d15737406533898e36c7ef7944b1be18e9028dc521b9229952c537bbc5552',
    bytes: 281_946_471,
    libraryBytes: 883_062_208,
  },
  'darwin-arm64': {
    package: 'tensorflow',
    tag: 'macosx_12_0_arm64',
    sha256: '56ecd7d47429acbe1df2694d50b75bf9fc3995ac92cb367cd9af6c4780ead712',
    bytes: 223_488_205,
    libraryBytes: 740_805_624,
  },
};

/**
 * The TensorFlow of this machine, fetched into the cache when there is none. Safe when several processes call it at once.
 * SIGINT and SIGTERM end it with EngineError `stopped`.
 * @throws EngineError as `findTensorFlow` does, and `platform-unsupported`, `pip-missing`, `download-failed`,
 *   `hash-mismatch`, `library-damaged` or `disk-full`.
 */
export function installTensorFlow(options: InstallOptions = {}): Promise<TensorFlowLibrary> {
  return install({ ...options, host: thisHost() });
}

/** `installTensorFlow` with the machine, and optionally the wheel, as arguments, for the tests. */
export async function install(options: InstallOptions & { host: Host; wheel?: Wheel }) {
  const { host } = options;
  const cache = cacheFolder(host);
  await removeLeftovers(cache);
  const found = findTensorFlow(host);
  if (found !== null) return found;

  const started = performance.now();
  const wheel = options.wheel ?? wheels[platformOf(host)];
  const report = reporter(options.log);
  const stop = stopSignal();
  let folder: string | undefined;
  try {
    await mkdir(cache, { recursive: true });
    await checkDisk(cache, wheel);
    folder = await mkdtemp(join(cache, temporaryPrefix(host)));
    const job: Job = { host, wheel, folder, report, signal: stop.signal };
    const library = await unpack(await download(job), job);
    await putInPlace(library, cachedLibraryFolder(host));
    stop.signal.throwIfAborted();
  } catch (error) {
    throw stop.signal.aborted ? stop.signal.reason : explained(error, cache);
  } finally {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    stop.release();
  }
  const library = inCache(host);
  if (library === null) {
    throw new EngineError('library-missing', `${cachedLibraryFolder(host)} was removed`, {
      remedy: 'run it again',
    });
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  report.line(`TensorFlow ${library.version} is in ${library.folder} (${wheel.package}, ${seconds} s)`);
  return library;
}

interface Job {
  host: Host;
  wheel: Wheel;
  /** The temporary folder; everything is written inside it. */
  folder: string;
  report: Reporter;
  signal: AbortSignal;
}

/** Lets pip fetch the wheel and check its hash; returns its path. */
async function download({ host, wheel, folder, report, signal }: Job): Promise<string> {
  const requirements = join(folder, 'requirements.txt');
  const target = join(folder, 'wheel');
  await mkdir(target);
  await writeFile(requirements, `${wheel.package}==${TENSORFLOW_VERSION} --hash=sha256:${wheel.sha256}\n`);
  report.line(`downloading ${wheel.package} ${TENSORFLOW_VERSION} (${megabytes(wheel.bytes)}) with pip`);
  const pip = ['-m', 'pip', 'download', '--no-deps', '--only-binary=:all:', '--no-cache-dir', '--no-input'];
  const which = ['--implementation', 'cp', '--python-version', '3.12', '--platform', wheel.tag];
  const what = ['--require-hashes', '-r', requirements, '--dest', target];
  const quiet = ['--disable-pip-version-check', '--progress-bar', report.bars ? 'on' : 'off'];
  signal.throwIfAborted();
  const child = spawn('python3', [...pip, ...which, ...what, ...quiet], {
    env: { ...host.env, TMPDIR: folder },
    stdio: ['ignore', report.bars ? 2 : 'ignore', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  const beat = report.bars
    ? undefined
    : setInterval(() => void reportSize(folder, { wheel, report }), 10_000);
  const lines: string[] = [];
  const reader = createInterface(child.stderr!).on('line', (coloured) => {
    const line = stripVTControlCharacters(coloured);
    if (line.startsWith('WARNING')) report.line(`pip: ${line}`);
    lines.push(line);
  });
  try {
    const ended = new Promise<number | null>((done, fail) => {
      child.once('error', fail).once('close', done);
    });
    const [exit] = await Promise.all([ended, once(reader, 'close')]); // its last lines come after the child's end
    signal.throwIfAborted();
    if (exit !== 0) throw pipError({ lines, exit, wheel });
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    throw new EngineError('pip-missing', 'python3, whose pip fetches TensorFlow, is not on the PATH', {
      remedy: `install Python 3 with pip (Debian, Ubuntu: apt install python3-pip), or ${ELSEWHERE}`,
      cause: error,
    });
  } finally {
    clearInterval(beat);
    signal.removeEventListener('abort', kill);
  }
  const name = (await readdir(target)).find((file) => file.endsWith('.whl'));
  if (name === undefined) throw pipError({ lines, exit: 0, wheel });
  return join(target, name);
}

const ELSEWHERE = `set CT_ENSEMBLE_TENSORFLOW to a folder that has TensorFlow ${TENSORFLOW_VERSION}`;

/** What pip's exit and the last lines it wrote mean. */
function pipError({
  lines,
  exit,
  wheel,
}: {
  lines: string[];
  exit: number | null;
  wheel: Wheel;
}): EngineError {
  const text = lines.join('\n');
  const cause = new Error(`pip ended with ${exit}:\n${lines.slice(-20).join('\n')}`);
  if (/No module named '?pip\b/.test(text)) {
    return new EngineError('pip-missing', 'python3 has no pip', {
      remedy: `install it (Debian, Ubuntu: apt install python3-pip; elsewhere: python3 -m ensurepip), or ${ELSEWHERE}`,
      cause,
    });
  }
  if (/DO NOT MATCH THE HASHES/i.test(text)) {
    const got = /Got\s+([0-9a-f]{64})/.exec(text)?.[1] ?? 'another';
    return new EngineError(
      'hash-mismatch',
      `the ${wheel.package} that pip was given has SHA-256 ${got}, not ${wheel.sha256}; nothing was kept`,
      { remedy: 'run it again, from another network or without the mirror that pip is set to', cause },
    );
  }
  if (/No space left on device|Errno 28\b|Disk quota exceeded/.test(text))
    return diskFull('the disk is full', cause);
  const last =
    lines.findLast((line) => line.startsWith('ERROR')) ?? lines.findLast((line) => line.trim() !== '');
  return new EngineError(
    'download-failed',
    `pip could not download ${wheel.package} ${TENSORFLOW_VERSION} (exit ${exit}: ${last ?? 'no message'})`,
    {
      remedy:
        'check the network and what pip is set to (proxy, index) and run it again; on a machine without a network, ' +
        `share CT_ENSEMBLE_CACHE with one that has it, or ${ELSEWHERE}`,
      cause,
    },
  );
}

/** Unpacks the two libraries out of the wheel, checked and synced; returns the folder that holds them. */
async function unpack(file: string, { host, wheel, folder, report, signal }: Job): Promise<string> {
  const target = join(folder, 'library');
  await mkdir(target);
  const source: LibrarySource = {
    package: wheel.package,
    version: TENSORFLOW_VERSION,
    sha256: wheel.sha256,
    files: {},
  };
  try {
    const zip = await openPromise(file, { autoClose: false });
    try {
      const wanted = Object.values(libraryNames(host)).map((name) => `tensorflow/${name}`);
      const entries: Entry[] = [];
      for await (const entry of zip.eachEntry()) if (wanted.includes(entry.fileName)) entries.push(entry);
      if (entries.length !== wanted.length) throw new Error(`it holds no ${wanted.join(' and ')}`);
      const progress = report.progress(
        'unpacking',
        entries.reduce((sum, entry) => sum + entry.uncompressedSize, 0),
      );
      for (const entry of entries) {
        const name = basename(entry.fileName);
        let crc = 0;
        const check = async function* (chunks: AsyncIterable<Buffer>) {
          for await (const chunk of chunks) {
            crc = crc32(chunk, crc);
            progress(chunk.length);
            yield chunk;
          }
        };
        const out = createWriteStream(join(target, name), { flags: 'wx', flush: true });
        await pipeline(await zip.openReadStreamPromise(entry), check, out, { signal });
        if (crc !== entry.crc32) throw new Error(`${name} fails its checksum`);
        source.files[name] = entry.uncompressedSize;
      }
    } finally {
      zip.close();
    }
  } catch (error) {
    if (/^E(?!RR_)/.test(codeOf(error) ?? '')) throw error;
    throw new EngineError('library-damaged', `${basename(file)} cannot be unpacked: ${messageOf(error)}`, {
      remedy: 'run it again',
      cause: error,
    });
  }
  await writeFile(join(target, 'source.json'), `${JSON.stringify(source, null, 2)}\n`, { flush: true });
  await syncFolder(target);
  return target;
}

/** One rename; when another process was first, its libraries stay and serve. */
async function putInPlace(from: string, to: string) {
  try {
    await rename(from, to);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes(codeOf(error) ?? '')) throw error;
  }
  await syncFolder(dirname(to));
}

/** Temporary folders tell machine and process, so that those of the dead can be told from those at work. */
function temporaryPrefix(host: Host) {
  return `.${basename(cachedLibraryFolder(host))}@${hostname()}.${process.pid}.`;
}

/** Removes what killed processes left in the cache: those of this machine at once, those of others after a day. */
async function removeLeftovers(cache: string) {
  const names = await readdir(cache).catch(() => []);
  for (const name of names) {
    const [, machine, pid] = /^\.tensorflow-[^@]+@(.+)\.(\d+)\.\w+$/.exec(name) ?? [];
    if (machine === undefined) continue;
    const folder = join(cache, name);
    const isDead = machine === hostname() && !isAlive(Number(pid));
    if (isDead || (await isOld(folder))) await rm(folder, { recursive: true, force: true });
  }
}

async function isOld(folder: string) {
  const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Infinity }));
  return Date.now() - mtimeMs > 86_400_000;
}

function isAlive(pid: number) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

async function checkDisk(cache: string, wheel: Wheel) {
  const { bavail, bsize } = await statfs(cache);
  const needed = wheel.bytes + wheel.libraryBytes;
  if (bavail * bsize >= needed) return;
  throw diskFull(
    `installing TensorFlow takes ${megabytes(needed)} in ${cache}, which has ${megabytes(bavail * bsize)}`,
  );
}

function diskFull(problem: string, cause?: unknown) {
  return new EngineError('disk-full', problem, {
    remedy: 'free some space, or set CT_ENSEMBLE_CACHE to a folder on a larger disk',
    cause,
  });
}

/** A system error in the cache as the engine's own. */
function explained(error: unknown, cache: string): unknown {
  const code = codeOf(error);
  if (error instanceof EngineError || code === undefined) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull(`the disk of ${cache} is full`, error);
  return new EngineError('download-failed', `cannot write in ${cache}: ${messageOf(error)}`, {
    remedy: 'set CT_ENSEMBLE_CACHE to a folder you may write to',
    cause: error,
  });
}

/** SIGINT and SIGTERM as an AbortSignal, so that they too end through the cleaning up. */
function stopSignal() {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals) => {
    const problem = `the installation of TensorFlow was stopped (${name})`;
    controller.abort(
      new EngineError('stopped', problem, { remedy: 'run it again when you like; nothing was kept' }),
    );
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  return {
    signal: controller.signal,
    release: () => void process.off('SIGINT', stop).off('SIGTERM', stop),
  };
}

interface Reporter {
  bars: boolean;
  line: (line: string) => void;
  /** Returns a function that takes the bytes done since its last call. */
  progress: (what: string, total: number) => (bytes: number) => void;
}

function reporter(log: InstallOptions['log']): Reporter {
  const bars = log === undefined && process.stderr.isTTY;
  const line = log ?? ((text: string) => void process.stderr.write(`${text}\n`));
  return {
    bars,
    line,
    progress(what, total) {
      let done = 0;
      let shown = 0;
      if (!bars) line(`${what} ${megabytes(total)}`);
      return (bytes) => {
        done += bytes;
        const percent = Math.floor((100 * done) / total);
        if (!bars || percent === shown) return;
        shown = percent;
        const bar = '━'.repeat(percent * 0.4).padEnd(40);
        process.stderr.write(`\r   ${bar} ${what} ${percent} %${percent === 100 ? '\n' : ''}`);
      };
    },
  };
}

/** One line of how far the download is, for logs without a terminal. */
async function reportSize(folder: string, { wheel, report }: { wheel: Wheel; report: Reporter }) {
  const files = await readdir(folder, { recursive: true }).catch(() => []);
  const sizes = await Promise.all(
    files
      .filter((file) => file.endsWith('.whl'))
      .map((file) =>
        stat(join(folder, file)).then(
          ({ size }) => size,
          () => 0,
        ),
      ),
  );
  report.line(`  ${megabytes(Math.max(0, ...sizes))} of ${megabytes(wheel.bytes)}`);
}

function megabytes(bytes: number) {
  return `${Math.round(bytes / 1e6)} MB`;
}

/** Makes what was renamed or created in this folder survive a power cut, where folders can be synced. */
async function syncFolder(folder: string) {
  const handle = await open(folder, 'r');
  try {
    await handle.sync().catch(() => undefined);
  } finally {
    await handle.close();
  }
}
