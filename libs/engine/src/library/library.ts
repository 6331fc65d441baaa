// Where TensorFlow's C library is on this machine: the variable, the cache, then python3's packages; with an NVIDIA
// driver, those that have the CUDA libraries beside them first.
// Finds, never fetches (install.ts does) and never loads.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { EngineError } from '../errors.ts';

/** The version whose C API and kernels the engine is written for. */
export const TENSORFLOW_VERSION = '2.21.0';

const VARIABLE = 'CT_ENSEMBLE_TENSORFLOW';

/** TensorFlow's two shared libraries on this machine; `framework` must be loaded first. */
export interface TensorFlowLibrary {
  folder: string;
  framework: string;
  main: string;
  /** Null when nothing beside the libraries tells it. */
  version: string | null;
  source: typeof VARIABLE | 'cache' | 'python';
}

/** The machine that is searched. Only tests name another than this one. */
export interface Host {
  platform: NodeJS.Platform;
  arch: string;
  env: NodeJS.ProcessEnv;
  /** Undefined on a Linux without glibc, and elsewhere. */
  readonly glibc: string | undefined;
  /** Whether NVIDIA's driver is there; default: no. */
  readonly nvidia?: boolean;
}

/** The platforms for which TensorFlow is published with its C library. */
export type Platform = 'linux-x64' | 'linux-arm64' | 'darwin-arm64';

/** What `source.json` in a cached copy says of it. */
export interface LibrarySource {
  package: string;
  version: string;
  sha256: string;
  /** The other wheels of a copy for GPUs. */
  cuda?: { package: string; version: string; sha256: string }[];
  /** Bytes of each file, by its path in the copy. */
  files: Record<string, number>;
}

/** A copy for CPUs, the two libraries in one folder; or one for GPUs, laid out as a site-packages folder. */
export type Variant = 'cpu' | 'gpu';

export function thisHost(): Host {
  return {
    platform: process.platform,
    arch: process.arch,
    env: process.env,
    get glibc() {
      const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
      return header?.glibcVersionRuntime;
    },
    get nvidia() {
      const signs = ['/proc/driver/nvidia/gpus', '/dev/nvidiactl', '/usr/lib/wsl/lib/libcuda.so.1'];
      return signs.some((path) => existsSync(path));
    },
  };
}

/**
 * The library, or null when there is none. Quick: python3 is asked only when variable and cache have nothing that suits
 * the machine, a GPU's driver or none.
 * @throws EngineError `library-missing` or `library-version` when CT_ENSEMBLE_TENSORFLOW is set but wrong,
 *   `library-damaged` when the cached copy is not whole.
 */
export function findTensorFlow(host: Host = thisHost()): TensorFlowLibrary | null {
  return search(host).library;
}

/**
 * The library that can use GPUs, whether this machine has one or not; null when there is none.
 * @throws EngineError as `findTensorFlow` does, and `library-missing` when CT_ENSEMBLE_TENSORFLOW is set to one that
 *   cannot.
 */
export function findGpuTensorFlow(host: Host = thisHost()): TensorFlowLibrary | null {
  const own = fromVariable(host);
  if (own !== null && !hasCuda(own)) {
    throw new EngineError(
      'library-missing',
      `${VARIABLE} is ${host.env[VARIABLE]}, which has no CUDA libraries (nvidia/*/lib) beside it`,
      { remedy: 'unset it, or point it at a `pip install tensorflow[and-cuda]`' },
    );
  }
  return own ?? inCache(host, 'gpu') ?? withCuda(fromPython(host).library);
}

/** Whether the CUDA libraries lie beside TensorFlow, as `pip install tensorflow[and-cuda]` puts them. */
export function hasCuda({ folder }: TensorFlowLibrary): boolean {
  const site = dirname(folder);
  // The package tensorflow-cpu may share its site-packages folder with a PyTorch that brings CUDA.
  return existsSync(join(site, 'nvidia')) && !readdirSync(site).some((name) => /^tensorflow_cpu-/.test(name));
}

/**
 * The library.
 * @throws EngineError as `findTensorFlow` does, and `library-missing` or `platform-unsupported` when there is none.
 */
export function requireTensorFlow(host: Host = thisHost()): TensorFlowLibrary {
  const { library, seen } = search(host);
  if (library !== null) return library;
  platformOf(host);
  const others = seen.length === 0 ? '' : ` (python3 has ${seen.join(' and ')})`;
  throw new EngineError(
    'library-missing',
    `TensorFlow ${TENSORFLOW_VERSION} is not on this machine${others}`,
    {
      remedy:
        `run \`nx run engine:install\` (\`--gpu\` for GPUs), or \`pip install tensorflow-cpu==${TENSORFLOW_VERSION}\`, ` +
        `or set ${VARIABLE} to a folder that has it, or use \`--engine cpu\``,
    },
  );
}

/** Where fetched libraries are kept: `$CT_ENSEMBLE_CACHE`, else `ct-ensemble` in the user's cache folder. */
export function cacheFolder(host: Host = thisHost()): string {
  const { CT_ENSEMBLE_CACHE: own, XDG_CACHE_HOME: xdg } = host.env;
  if (own) return resolve(own);
  if (xdg && isAbsolute(xdg)) return join(xdg, 'ct-ensemble');
  return join(homedir(), host.platform === 'darwin' ? 'Library/Caches' : '.cache', 'ct-ensemble');
}

/** The folder in the cache that holds the copy of this version and platform. */
export function cachedCopy(host: Host, variant: Variant): string {
  const name = `tensorflow-${TENSORFLOW_VERSION}-${host.platform}-${host.arch}`;
  return join(cacheFolder(host), variant === 'gpu' ? `${name}-gpu` : name);
}

/** File names of the two libraries, in the order of loading. */
export function libraryNames(host: Host): { framework: string; main: string } {
  const end = host.platform === 'darwin' ? '2.dylib' : 'so.2';
  return { framework: `libtensorflow_framework.${end}`, main: `libtensorflow_cc.${end}` };
}

/** @throws EngineError `platform-unsupported` where no TensorFlow with a C library is published. */
export function platformOf(host: Host): Platform {
  const platform = `${host.platform}-${host.arch}`;
  if (platform === 'darwin-arm64') return platform;
  if (platform === 'linux-x64' || platform === 'linux-arm64') {
    const [major = 0, minor = 0] = (host.glibc ?? '').split('.').map(Number);
    if (major > 2 || (major === 2 && minor >= 27)) return platform;
    const has = host.glibc === undefined ? 'a Linux without glibc (musl?)' : `glibc ${host.glibc}`;
    throw new EngineError('platform-unsupported', `TensorFlow needs glibc 2.27 or newer and this is ${has}`, {
      remedy: 'use a system or image with glibc (Debian, Ubuntu, Fedora, …), or `--engine cpu`',
    });
  }
  throw new EngineError('platform-unsupported', `TensorFlow has no C library for ${platform}`, {
    remedy:
      host.platform === 'win32'
        ? 'work inside WSL2, or use `--engine cpu`'
        : 'use x64 or arm64 Linux or a Mac with Apple silicon, or `--engine cpu`',
  });
}

/** The library in the cache, or null. Throws `library-damaged` when it is there in part. */
export function inCache(host: Host, variant: Variant): TensorFlowLibrary | null {
  const copy = cachedCopy(host, variant);
  if (!existsSync(copy)) return null;
  const library = librariesIn(variant === 'gpu' ? join(copy, 'tensorflow') : copy, host);
  const source = readSource(copy);
  if (library === null || source === null || !hasSizes(copy, source)) {
    throw new EngineError('library-damaged', `the TensorFlow in ${copy} is not whole`, {
      remedy: `delete that folder and run \`nx run engine:install${variant === 'gpu' ? ' --gpu' : ''}\``,
    });
  }
  return { ...library, version: source.version, source: 'cache' };
}

interface Search {
  library: TensorFlowLibrary | null;
  /** What python3 has and the engine cannot use. */
  seen: string[];
}

function search(host: Host): Search {
  if (host.platform === 'win32') return { library: null, seen: [] };
  const forGpu = () => inCache(host, 'gpu') ?? withCuda(fromPython(host).library);
  const library =
    fromVariable(host) ?? (host.nvidia ? forGpu() : null) ?? inCache(host, 'cpu') ?? inCache(host, 'gpu');
  return library === null ? fromPython(host) : { library, seen: [] };
}

function withCuda(library: TensorFlowLibrary | null): TensorFlowLibrary | null {
  return library !== null && hasCuda(library) ? library : null;
}

function fromVariable(host: Host): TensorFlowLibrary | null {
  const value = host.env[VARIABLE];
  if (!value) return null;
  const remedy = `point it at the folder of TensorFlow ${TENSORFLOW_VERSION} (…/site-packages/tensorflow) or unset it`;
  const library = librariesIn(resolve(value), host) ?? librariesIn(resolve(value, 'tensorflow'), host);
  if (library === null) {
    const { framework, main } = libraryNames(host);
    const problem = existsSync(value) ? `holds no ${framework} and ${main}` : 'does not exist';
    throw new EngineError('library-missing', `${VARIABLE} is ${value}, which ${problem}`, { remedy });
  }
  const versions = versionsBeside(library.folder);
  const version = versions.find(isRight) ?? versions[0] ?? null;
  if (version !== null && !isRight(version)) {
    throw new EngineError('library-version', `${VARIABLE} is ${value}, which is TensorFlow ${version}`, {
      remedy,
    });
  }
  return { ...library, version, source: VARIABLE };
}

/** Reads the metadata of python3's packages; TensorFlow is not imported. */
const ASK_PYTHON = `
import sys
sys.path = [p for p in sys.path if p]
import json
from importlib.metadata import PackageNotFoundError, distribution
found = []
for name in ("tensorflow", "tensorflow-cpu"):
    try:
        package = distribution(name)
        found.append([name, package.version, str(package.locate_file("tensorflow"))])
    except PackageNotFoundError:
        pass
print(json.dumps(found))
`;

function fromPython(host: Host): Search {
  const seen: string[] = [];
  for (const [name, version, folder] of askPython(host)) {
    const library = isRight(version) ? librariesIn(folder, host) : null;
    if (library !== null) return { library: { ...library, version, source: 'python' }, seen: [] };
    seen.push(`${name} ${version}${isRight(version) ? ' without its C library' : ''}`);
  }
  return { library: null, seen };
}

function askPython(host: Host): [name: string, version: string, folder: string][] {
  const python = spawnSync('python3', ['-c', ASK_PYTHON], {
    env: host.env,
    encoding: 'utf8',
    timeout: 10_000,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  if (python.status !== 0) return [];
  return (parseJson(python.stdout) as [string, string, string][] | null) ?? [];
}

function librariesIn(folder: string, host: Host) {
  const { framework, main } = libraryNames(host);
  const library = { folder, framework: join(folder, framework), main: join(folder, main) };
  return isFile(library.framework) && isFile(library.main) ? library : null;
}

/** Versions told by what lies beside the libraries: our `source.json`, or pip's metadata beside `tensorflow/`. */
function versionsBeside(folder: string): string[] {
  const inPackage = basename(folder) === 'tensorflow';
  const source = readSource(folder) ?? (inPackage ? readSource(dirname(folder)) : null);
  if (source !== null) return [source.version];
  if (!inPackage) return [];
  return readdirSync(dirname(folder))
    .sort()
    .flatMap((name) => /^tensorflow(?:_cpu)?-(.+)\.dist-info$/.exec(name)?.[1] ?? []);
}

/** Builds of the same version by others carry a suffix (`2.21.0+nv26.3`). */
function isRight(version: string) {
  return version.split('+')[0] === TENSORFLOW_VERSION;
}

function readSource(folder: string): LibrarySource | null {
  const file = join(folder, 'source.json');
  const source = isFile(file)
    ? (parseJson(readFileSync(file, 'utf8')) as Partial<LibrarySource> | null)
    : null;
  return source?.version && source.files ? (source as LibrarySource) : null;
}

function hasSizes(folder: string, source: LibrarySource) {
  return Object.entries(source.files).every(
    ([name, bytes]) => statSync(join(folder, name), { throwIfNoEntry: false })?.size === bytes,
  );
}

function isFile(path: string) {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
