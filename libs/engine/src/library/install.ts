// Installs TensorFlow in the cache, for CPUs or with CUDA for GPUs: pip downloads the pinned wheels, their SHA-256 are
// checked, the necessary files are unpacked into a temporary folder, and one rename moves it to its place. A failure
// before the rename leaves nothing behind except complete wheels, which the next run uses.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rename, rm, rmdir, stat, statfs, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { stripVTControlCharacters } from 'node:util';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { openPromise, type Entry, type ZipFile } from 'yauzl';
import { codeOf, EngineError, messageOf } from '../errors.ts';
import { createCacheFolder, groupWarning, requireSafeFolder } from './cache-folder.ts';
import { type LibrarySource, recordVerification, verifyCopy } from './cached-copy.ts';
import {
  cachedCopy,
  cacheFolder,
  findGpuTensorFlow,
  findTensorFlow,
  inCache,
  libraryNames,
  platformOf,
  TENSORFLOW_VERSION,
  thisHost,
  type Host,
  type Platform,
  type TensorFlowLibrary,
  type Variant,
} from './library.ts';
import { pipEnvironment } from './python.ts';
import { cpuWheels, gpuWheels, type Wheel } from './wheels.ts';

export interface InstallOptions {
  /** Receives progress messages line by line. Default: standard error, with progress bars on a terminal. */
  log?: (line: string) => void;
  /** TensorFlow with CUDA, for NVIDIA GPUs (Linux x86-64): downloads 3.4 GB, 5.5 GB unpacked. */
  gpu?: boolean;
  /** Folder that already holds the wheels; nothing is downloaded then. */
  wheels?: string;
}

/**
 * Finds TensorFlow on this machine, or downloads it into the cache. A copy in the cache is checked by the SHA-256 of its
 * files, unless that was done within the last day, and installed again if it is damaged. Several processes may call it
 * at the same time. SIGINT and SIGTERM end it with EngineError `stopped`.
 * @throws EngineError as `findTensorFlow` does, and `platform-unsupported`, `pip-missing`, `download-failed`,
 *   `hash-mismatch`, `library-damaged` (a wheel that cannot be unpacked) or `disk-full`.
 */
export function installTensorFlow(options: InstallOptions = {}): Promise<TensorFlowLibrary> {
  return install({ ...options, host: thisHost() });
}

/** `installTensorFlow` with the machine and, optionally, the pinned wheels as options, for tests. */
export async function install(options: InstallOptions & { host: Host; pins?: readonly Wheel[] }) {
  const { host } = options;
  const cache = cacheFolder(host);
  const report = reporter(options.log);
  const { library: found, damaged } = await findSound(options, report);
  if (found !== null) return found;

  const variant = damaged ?? (options.gpu ? 'gpu' : 'cpu');
  const started = performance.now();
  const platform = platformOf(host);
  const wheels = options.pins ?? (variant === 'gpu' ? gpuWheelsOf(platform) : [cpuWheels[platform]]);
  const stop = stopSignal();
  let folder: string | undefined;
  try {
    createCacheFolder(cache);
    requireSafeFolder(cache);
    reportGroup(cache, report);
    await removeLeftovers(cache);
    const given = options.wheels === undefined ? undefined : await wheelsIn(options.wheels, wheels);
    await checkDisk(cache, { wheels, given, report });
    folder = await mkdtemp(join(cache, temporaryPrefix(host, variant)));
    const job: Job = { host, variant, wheels, folder, report, signal: stop.signal };
    await mkdir(join(folder, 'wheels'));
    const files = new Map<Wheel, string>();
    for (const wheel of wheels) {
      stop.signal.throwIfAborted();
      const file = given?.get(wheel) ?? (await keptWheel(wheel, job)) ?? (await download(wheel, job));
      files.set(wheel, file);
    }
    await putInPlace(await unpack(files, job), job);
    stop.signal.throwIfAborted();
  } catch (error) {
    if (folder !== undefined) await keepWheels(folder, cache);
    throw stop.signal.aborted ? stop.signal.reason : explained(error, cache);
  } finally {
    if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    await rmdir(keptIn(cache)).catch(() => undefined); // fails if wheels are kept there, as intended
    stop.release();
  }
  const library = inCache(host, variant);
  if (library === null) {
    throw new EngineError('library-missing', `${cachedCopy(host, variant)} was removed`, {
      remedy: 'run it again',
    });
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(0);
  report.line(`${wheels[0]!.package} ${library.version} was installed in ${library.folder} (${seconds} s)`);
  return library;
}

/**
 * The library of this machine after a check of its digests if it is in the cache; null if there is none, with the
 * variant of a damaged copy that is to be replaced.
 */
async function findSound(
  { host, gpu = false }: { host: Host; gpu?: boolean },
  report: Reporter,
): Promise<{ library: TensorFlowLibrary | null; damaged?: Variant }> {
  let library: TensorFlowLibrary | null;
  try {
    library = gpu ? findGpuTensorFlow(host) : findTensorFlow(host);
  } catch (error) {
    const order: Variant[] = gpu || host.nvidia ? ['gpu', 'cpu'] : ['cpu', 'gpu'];
    const damaged = order.find((variant) => isDamaged(host, variant));
    if (!(error instanceof EngineError) || error.code !== 'library-damaged' || damaged === undefined)
      throw error;
    report.line(error.message.split(' → ')[0]!);
    return { library: null, damaged };
  }
  if (library?.source !== 'cache') return { library };
  reportGroup(cacheFolder(host), report);
  const variant = library.folder === cachedCopy(host, 'cpu') ? 'cpu' : 'gpu';
  const damage = await verifyCopy(cachedCopy(host, variant), { log: report.line });
  if (damage === undefined) return { library };
  report.line(`the TensorFlow in ${cachedCopy(host, variant)} is damaged: ${damage}`);
  return { library: null, damaged: variant };
}

function reportGroup(cache: string, report: Reporter) {
  const warning = groupWarning(cache);
  if (warning !== undefined) report.line(`WARNING: ${warning}`);
}

function isDamaged(host: Host, variant: Variant): boolean {
  try {
    inCache(host, variant);
    return false;
  } catch (error) {
    return error instanceof EngineError && error.code === 'library-damaged';
  }
}

function gpuWheelsOf(platform: Platform): readonly Wheel[] {
  if (platform === 'linux-x64') return gpuWheels;
  throw new EngineError(
    'platform-unsupported',
    `TensorFlow for GPUs is published for linux-x64, not ${platform}`,
    {
      remedy: 'install it without --gpu',
    },
  );
}

interface Job {
  host: Host;
  variant: Variant;
  wheels: readonly Wheel[];
  /** Temporary folder to which everything is written. */
  folder: string;
  report: Reporter;
  signal: AbortSignal;
}

/**
 * Finds the wheels in a folder of the user and checks their hashes.
 * @throws EngineError if one is missing or differs.
 */
async function wheelsIn(folder: string, wheels: readonly Wheel[]): Promise<Map<Wheel, string>> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw new EngineError(
      'download-failed',
      `the wheels' folder ${folder} cannot be read: ${messageOf(error)}`,
      {
        remedy: 'name a folder that holds the wheels',
      },
    );
  });
  const found = new Map<Wheel, string>();
  const wrong: string[] = [];
  for (const wheel of wheels) {
    for (const name of names.filter((file) => isFileOf(wheel, file)).sort()) {
      if (await hasHash(join(folder, name), wheel)) found.set(wheel, join(folder, name));
      else wrong.push(name);
    }
  }
  const missing = wheels.filter((wheel) => !found.has(wheel));
  if (missing.length === 0) return found;
  const others = wrong.length === 0 ? '' : `; with a different SHA-256: ${wrong.join(', ')}`;
  throw new EngineError(
    wrong.length > 0 ? 'hash-mismatch' : 'download-failed',
    `${folder} has no ${missing.map((wheel) => `${wheel.package} ${wheel.version} (${wheel.tag})`).join(', ')}${others}`,
    {
      remedy:
        'download them on a machine with a network, each by `python3 -m pip download --no-deps --only-binary=:all: ' +
        '--implementation cp --python-version 3.12 --platform TAG PACKAGE==VERSION`',
    },
  );
}

/** Whether pip's file name (package with underscores, version, tags) is that of the wheel. */
function isFileOf({ package: name, version }: Wheel, file: string) {
  return file.startsWith(`${name.replaceAll('-', '_')}-${version}-`) && file.endsWith('.whl');
}

async function hasHash(file: string, { bytes, sha256 }: Wheel): Promise<boolean> {
  return (await stat(file)).size === bytes && (await sha256OfFile(file)) === sha256;
}

async function sha256OfFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}

/** Folder for complete wheels of failed runs, which the next run uses. */
function keptIn(cache: string) {
  return join(cache, 'wheels');
}

/** Moves the wheels of a temporary folder to the folder of kept wheels. */
async function keepWheels(folder: string, cache: string) {
  const names = await readdir(join(folder, 'wheels')).catch(() => []);
  for (const name of names) {
    await mkdir(keptIn(cache), { recursive: true });
    await rename(join(folder, 'wheels', name), join(keptIn(cache), name)).catch(() => undefined);
  }
}

/**
 * A wheel kept by an earlier run, or undefined. It is moved into this run's folder, so that no other run uses it too.
 */
async function keptWheel(wheel: Wheel, { host, folder, report }: Job): Promise<string | undefined> {
  const kept = keptIn(cacheFolder(host));
  for (const name of (await readdir(kept).catch(() => [])).filter((file) => isFileOf(wheel, file))) {
    const file = join(folder, 'wheels', name);
    try {
      await rename(join(kept, name), file);
    } catch {
      continue; // another run has taken it
    }
    if (await hasHash(file, wheel)) {
      report.line(`${name} was downloaded by an earlier run`);
      return file;
    }
    await rm(file);
  }
  return undefined;
}

/** Downloads a wheel with pip; its SHA-256 is checked by pip, and again here. Returns its path. */
async function download(wheel: Wheel, { host, wheels, folder, report, signal }: Job): Promise<string> {
  const work = join(folder, 'pip');
  const requirements = join(work, 'requirements.txt');
  const target = join(work, 'wheel');
  await mkdir(target, { recursive: true });
  await writeFile(requirements, `${wheel.package}==${wheel.version} --hash=sha256:${wheel.sha256}\n`);
  const count = wheels.length === 1 ? '' : `${wheels.indexOf(wheel) + 1} of ${wheels.length}, `;
  report.line(`downloading ${wheel.package} ${wheel.version} (${count}${megabytes(wheel.bytes)}) with pip`);
  const pip = [
    '-I',
    '-m',
    'pip',
    'download',
    '--no-deps',
    '--only-binary=:all:',
    '--no-cache-dir',
    '--no-input',
  ];
  const which = ['--implementation', 'cp', '--python-version', '3.12', '--platform', wheel.tag];
  const what = ['--require-hashes', '-r', requirements, '--dest', target];
  const quiet = ['--disable-pip-version-check', '--progress-bar', report.bars ? 'on' : 'off'];
  signal.throwIfAborted();
  const child = spawn('python3', [...pip, ...which, ...what, ...quiet], {
    env: { ...pipEnvironment(host.env), TMPDIR: work },
    cwd: work,
    stdio: ['ignore', report.bars ? 2 : 'ignore', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill);
  const beat = report.bars ? undefined : setInterval(() => void reportSize(work, { wheel, report }), 10_000);
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
    const [exit] = await Promise.all([ended, once(reader, 'close')]); // the last lines may arrive after pip has exited
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
  const sha256 = await sha256OfFile(join(target, name));
  if (sha256 !== wheel.sha256) {
    const { size } = await stat(join(target, name));
    await rm(join(target, name));
    throw hashMismatch(`${name}, which pip saved, has SHA-256 ${sha256} (${size} bytes)`, wheel);
  }
  await rename(join(target, name), join(folder, 'wheels', name));
  await rm(work, { recursive: true });
  return join(folder, 'wheels', name);
}

const ELSEWHERE = `set CT_ENSEMBLE_TENSORFLOW to a folder that has TensorFlow ${TENSORFLOW_VERSION}`;

/** The error for a failed pip, from its exit code and output. */
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
    return new EngineError(
      'pip-missing',
      "python3 has no pip (one in the user's own site-packages folder is not used)",
      {
        remedy: `install it (Debian, Ubuntu: apt install python3-pip; elsewhere: python3 -m ensurepip), or ${ELSEWHERE}`,
        cause,
      },
    );
  }
  if (/DO NOT MATCH THE HASHES/i.test(text)) {
    const got = /Got\s+([0-9a-f]{64})/.exec(text)?.[1] ?? 'another';
    return hashMismatch(`the ${wheel.package} that pip was given has SHA-256 ${got}`, wheel, cause);
  }
  if (/No space left on device|Errno 28\b|Disk quota exceeded/.test(text))
    return diskFull('the disk is full', cause);
  const last =
    lines.findLast((line) => line.startsWith('ERROR')) ?? lines.findLast((line) => line.trim() !== '');
  return new EngineError(
    'download-failed',
    `pip could not download ${wheel.package} ${wheel.version} (exit ${exit}: ${last ?? 'no message'})`,
    {
      remedy:
        'check the network and what pip is set to (proxy, index) and run it again; on a machine without a network, ' +
        `name a folder that has the wheels with --wheels, copy the cache folder (CT_ENSEMBLE_CACHE) of a machine that has it, or ${ELSEWHERE}`,
      cause,
    },
  );
}

function hashMismatch(what: string, { sha256, bytes }: Wheel, cause?: unknown) {
  return new EngineError('hash-mismatch', `${what}, not ${sha256} (${bytes} bytes); it was removed`, {
    remedy: 'run it again, from another network or without the mirror that pip is set to',
    cause,
  });
}

/** Paths of CUDA's shared libraries and of XLA's GPU compiler, where TensorFlow's RUNPATH and XLA search for them. */
const CUDA =
  /^nvidia\/\w+\/lib\/(?!.*\.alt\.)[^/]+\.so(\.\d+)*$|^nvidia\/cuda_nvcc\/(bin\/ptxas|nvvm\/libdevice\/[^/]+\.bc)$/;

/** Unpacks the necessary files, checks their CRCs and syncs them to disk; returns their folder. */
async function unpack(files: Map<Wheel, string>, job: Job): Promise<string> {
  const { host, variant, wheels, folder, report } = job;
  const target = join(folder, 'copy');
  const [main, ...others] = wheels as [Wheel, ...Wheel[]];
  const digests: Record<string, string> = {};
  const source: LibrarySource = { ...pinOf(main), files: {}, digests };
  if (others.length > 0) source.cuda = others.map(pinOf);
  const libraries = Object.values(libraryNames(host)).map((name) => `tensorflow/${name}`);
  const isWanted = (path: string) => libraries.includes(path) || (variant === 'gpu' && CUDA.test(path));
  const progress = report.progress(
    'unpacking',
    wheels.reduce((sum, wheel) => sum + wheel.unpacked, 0),
  );
  for (const [wheel, file] of files) {
    try {
      const zip = await openPromise(file, { autoClose: false });
      try {
        const entries: Entry[] = [];
        for await (const entry of zip.eachEntry()) if (isWanted(entry.fileName)) entries.push(entry);
        const lacks = wheel === main ? entries.length !== libraries.length : entries.length === 0;
        if (lacks)
          throw new Error(`it holds no ${wheel === main ? libraries.join(' and ') : 'CUDA libraries'}`);
        for (const entry of entries) {
          const path = variant === 'gpu' ? entry.fileName : basename(entry.fileName);
          digests[path] = await unpackEntry(zip, entry, {
            to: join(target, path),
            progress,
            signal: job.signal,
          });
          source.files[path] = entry.uncompressedSize;
        }
      } finally {
        zip.close();
      }
    } catch (error) {
      if (/^E(?!RR_)/.test(codeOf(error) ?? '')) throw error;
      if (!job.signal.aborted) await rm(join(folder, 'wheels', basename(file)), { force: true });
      throw new EngineError('library-damaged', `${basename(file)} cannot be unpacked: ${messageOf(error)}`, {
        remedy: 'run it again',
        cause: error,
      });
    }
  }
  await writeFile(join(target, 'source.json'), `${JSON.stringify(source, null, 2)}\n`, { flush: true });
  recordVerification(target, source);
  await syncFolder(target);
  return target;
}

/** Unpacks one file and checks its CRC; returns its SHA-256. */
async function unpackEntry(
  zip: ZipFile,
  entry: Entry,
  options: { to: string; progress: (bytes: number) => void; signal: AbortSignal },
): Promise<string> {
  const { to, progress, signal } = options;
  const hash = createHash('sha256');
  let crc = 0;
  const check = async function* (chunks: AsyncIterable<Buffer>) {
    for await (const chunk of chunks) {
      crc = crc32(chunk, crc);
      hash.update(chunk);
      progress(chunk.length);
      yield chunk;
    }
  };
  await mkdir(dirname(to), { recursive: true, mode: 0o755 });
  const mode = basename(dirname(to)) === 'bin' ? 0o755 : 0o644; // bin/ptxas must be executable
  const out = createWriteStream(to, { flags: 'wx', flush: true, mode });
  await pipeline(await zip.openReadStreamPromise(entry), check, out, { signal });
  if (crc !== entry.crc32) throw new Error(`${basename(to)} fails its checksum`);
  await syncFolder(dirname(to));
  return hash.digest('hex');
}

function pinOf({ package: name, version, sha256 }: Wheel) {
  return { package: name, version, sha256 };
}

/**
 * Moves the unpacked folder to its place in the cache by one rename. If a sound copy is there, which another process has
 * put there, that one is used; a damaged one is moved to the temporary folder first.
 */
async function putInPlace(from: string, { host, variant, folder }: Job) {
  const to = cachedCopy(host, variant);
  try {
    await rename(from, to);
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes(codeOf(error) ?? '')) throw error;
    const isSound = async () =>
      (await verifyCopy(to, { log: () => undefined, force: true })) === undefined &&
      !isDamaged(host, variant);
    if (!(await isSound())) {
      await rename(to, join(folder, 'damaged'));
      await rename(from, to);
    }
  }
  await syncFolder(dirname(to));
}

/** Names of temporary folders contain machine and process id, so that folders of dead processes can be recognised. */
function temporaryPrefix(host: Host, variant: Variant) {
  return `.${basename(cachedCopy(host, variant))}@${hostname()}.${process.pid}.`;
}

/**
 * Removes temporary folders of dead processes of this machine, and folders of other machines older than a day. Their
 * complete wheels are kept.
 */
async function removeLeftovers(cache: string) {
  const names = await readdir(cache).catch(() => []);
  for (const name of names) {
    const [, machine, pid] = /^\.tensorflow-[^@]+@(.+)\.(\d+)\.\w+$/.exec(name) ?? [];
    if (machine === undefined) continue;
    const folder = join(cache, name);
    const isDead = machine === hostname() && !isAlive(Number(pid));
    if (!isDead && !(await isOld(folder))) continue;
    await keepWheels(folder, cache);
    await rm(folder, { recursive: true, force: true });
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

/** Reports the disk space that the installation needs. @throws EngineError 'disk-full' if there is less. */
async function checkDisk(
  cache: string,
  plan: { wheels: readonly Wheel[]; given: Map<Wheel, string> | undefined; report: Reporter },
) {
  const kept = await readdir(keptIn(cache)).catch(() => []);
  const isHere = (wheel: Wheel) => plan.given?.has(wheel) || kept.some((file) => isFileOf(wheel, file));
  const sum = (numbers: number[]) => numbers.reduce((total, number) => total + number, 0);
  const toFetch = sum(plan.wheels.filter((wheel) => !isHere(wheel)).map(({ bytes }) => bytes));
  const unpacked = sum(plan.wheels.map((wheel) => wheel.unpacked));
  const { bavail, bsize } = await statfs(cache);
  const needed = toFetch + unpacked;
  const free = bavail * bsize;
  if (free < needed) {
    throw diskFull(
      `installing TensorFlow takes ${megabytes(needed)} in ${cache}, which has ${megabytes(free)}`,
    );
  }
  plan.report.line(
    `TensorFlow ${TENSORFLOW_VERSION}: ${megabytes(toFetch)} to fetch, ${megabytes(unpacked)} unpacked; ` +
      `${megabytes(needed)} of the ${megabytes(free)} free in ${cache}`,
  );
}

function diskFull(problem: string, cause?: unknown) {
  return new EngineError('disk-full', problem, {
    remedy: 'free some space, or set CT_ENSEMBLE_CACHE to a folder on a larger disk',
    cause,
  });
}

/** Converts a system error in the cache folder to an EngineError; returns any other error unchanged. */
function explained(error: unknown, cache: string): unknown {
  const code = codeOf(error);
  if (error instanceof EngineError || code === undefined) return error;
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull(`the disk of ${cache} is full`, error);
  return new EngineError('download-failed', `cannot write in ${cache}: ${messageOf(error)}`, {
    remedy: 'set CT_ENSEMBLE_CACHE to a folder you may write to',
    cause: error,
  });
}

/** Turns SIGINT and SIGTERM into an AbortSignal, so that the cleanup code runs for them too. */
function stopSignal() {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals) => {
    const problem = `the installation of TensorFlow was stopped (${name})`;
    controller.abort(
      new EngineError('stopped', problem, {
        remedy: 'run it again to continue; complete wheels were kept',
      }),
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
  /** Starts a progress report; the returned function takes the number of bytes done since its last call. */
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

/** Reports the progress of the download as one line, for logs without a terminal. */
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

/** Syncs a folder, so that entries created or renamed in it survive a power failure; ignored where unsupported. */
async function syncFolder(folder: string) {
  const handle = await open(folder, 'r');
  try {
    await handle.sync().catch(() => undefined);
  } finally {
    await handle.close();
  }
}
