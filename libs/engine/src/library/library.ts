// Finds TensorFlow's C library on this machine: environment variable, then cache, then python3's packages; with an
// NVIDIA driver, copies with CUDA come first. Does not download (install.ts does) and does not load the library.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join, parse, resolve } from 'node:path';
import { EngineError } from '../errors.ts';
import { requireSafeFolder } from './cache-folder.ts';
import { damageOf, readSource } from './cached-copy.ts';
import { pythonEnvironment } from './python.ts';

/** The version whose C API and kernels the engine is written for. */
export const TENSORFLOW_VERSION = '2.21.0';

const VARIABLE = 'CT_ENSEMBLE_TENSORFLOW';

/** TensorFlow's two shared libraries on this machine; `framework` must be loaded first. */
export interface TensorFlowLibrary {
  folder: string;
  framework: string;
  main: string;
  /** Null if no metadata is found beside the libraries. */
  version: string | null;
  source: typeof VARIABLE | 'cache' | 'python';
}

/** The machine to search; only tests substitute another than `thisHost()`. */
export interface Host {
  platform: NodeJS.Platform;
  arch: string;
  env: NodeJS.ProcessEnv;
  /** Version of glibc; undefined on Linux without glibc and on other systems. */
  readonly glibc: string | undefined;
  /** Whether NVIDIA's driver is installed; default: false. */
  readonly nvidia?: boolean;
}

/** The platforms for which TensorFlow is published with its C library. */
export type Platform = 'linux-x64' | 'linux-arm64' | 'darwin-arm64';

/** `cpu`: a copy with both libraries in one folder; `gpu`: a copy with the layout of a site-packages folder. */
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
 * The library for this machine, or null if there is none. python3 is started only if neither the variable nor the cache
 * has a suitable copy (with CUDA if there is an NVIDIA driver).
 * @throws EngineError `library-missing` or `library-version` if CT_ENSEMBLE_TENSORFLOW names no usable library,
 *   `library-damaged` if the cached copy is damaged, `cache-unsafe` if others may have written to it.
 */
export function findTensorFlow(host: Host = thisHost()): TensorFlowLibrary | null {
  return search(host).library;
}

/**
 * A library that can use GPUs, or null if there is none. This machine need not have a GPU.
 * @throws EngineError as `findTensorFlow` does, and `library-missing` if CT_ENSEMBLE_TENSORFLOW names a library
 *   without CUDA.
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
 * As `findTensorFlow`, but throws if there is no library.
 * @throws EngineError as `findTensorFlow` does, and `library-missing` or `platform-unsupported` if there is none.
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

/** Folder for downloaded libraries: `$CT_ENSEMBLE_CACHE`, else `ct-ensemble` in the user's cache folder. */
export function cacheFolder(host: Host = thisHost()): string {
  const { CT_ENSEMBLE_CACHE: own, XDG_CACHE_HOME: xdg } = host.env;
  if (own) return resolve(own);
  if (xdg && isAbsolute(xdg)) return join(xdg, 'ct-ensemble');
  return join(homedir(), host.platform === 'darwin' ? 'Library/Caches' : '.cache', 'ct-ensemble');
}

/** Folder in the cache for the copy of this version, platform and variant; it need not exist. */
export function cachedCopy(host: Host, variant: Variant): string {
  const name = `tensorflow-${TENSORFLOW_VERSION}-${host.platform}-${host.arch}`;
  return join(cacheFolder(host), variant === 'gpu' ? `${name}-gpu` : name);
}

/** File names of the two libraries, in the order of loading. */
export function libraryNames(host: Host): { framework: string; main: string } {
  const end = host.platform === 'darwin' ? '2.dylib' : 'so.2';
  return { framework: `libtensorflow_framework.${end}`, main: `libtensorflow_cc.${end}` };
}

/**
 * The platform for which wheels are pinned.
 * @throws EngineError `platform-unsupported` if TensorFlow publishes no C library for this machine.
 */
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

/**
 * The library in the cache, or null.
 * @throws EngineError `library-damaged` if files of the copy are missing or changed; `cache-unsafe` if others may have
 *   written to it.
 */
export function inCache(host: Host, variant: Variant): TensorFlowLibrary | null {
  const copy = cachedCopy(host, variant);
  if (!existsSync(copy)) return null;
  requireSafeFolder(cacheFolder(host));
  requireSafeFolder(copy);
  const library = librariesIn(variant === 'gpu' ? join(copy, 'tensorflow') : copy, host);
  const damage = damageOf(copy) ?? (library === null ? 'its libraries are missing' : undefined);
  if (library === null || damage !== undefined) {
    throw new EngineError('library-damaged', `the TensorFlow in ${copy} is damaged: ${damage}`, {
      remedy: `run \`nx run engine:install${variant === 'gpu' ? ' --gpu' : ''}\`, which installs it again`,
    });
  }
  return { ...library, version: readSource(copy)!.version, source: 'cache' };
}

interface Search {
  library: TensorFlowLibrary | null;
  /** python3's TensorFlow packages that the engine cannot use, for the error message. */
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
  const version = versions.find(isRequiredVersion) ?? versions[0] ?? null;
  if (version !== null && !isRequiredVersion(version)) {
    throw new EngineError('library-version', `${VARIABLE} is ${value}, which is TensorFlow ${version}`, {
      remedy,
    });
  }
  return { ...library, version, source: VARIABLE };
}

/**
 * Python program that reads package metadata without importing TensorFlow. `-I` leaves out the user's own site-packages
 * folder, in which `pip install --user` puts packages; the program looks there too, as Python does without `-I`.
 */
const ASK_PYTHON = `
import json, os, site, sys
from importlib.metadata import Distribution
path = list(sys.path)
if sys.prefix == sys.base_prefix and not os.environ.get("PYTHONNOUSERSITE"):
    path.insert(0, site.getusersitepackages())
found = []
for name in ("tensorflow", "tensorflow-cpu"):
    package = next(iter(Distribution.discover(name=name, path=path)), None)
    if package is not None:
        found.append([name, package.version, str(package.locate_file("tensorflow"))])
print(json.dumps(found))
`;

function fromPython(host: Host): Search {
  const seen: string[] = [];
  for (const [name, version, folder] of askPython(host)) {
    const library = isRequiredVersion(version) ? librariesIn(folder, host) : null;
    if (library !== null) return { library: { ...library, version, source: 'python' }, seen: [] };
    seen.push(`${name} ${version}${isRequiredVersion(version) ? ' without its C library' : ''}`);
  }
  return { library: null, seen };
}

function askPython(host: Host): [name: string, version: string, folder: string][] {
  const python = spawnSync('python3', ['-I', '-c', ASK_PYTHON], {
    env: pythonEnvironment(host.env),
    cwd: parse(process.cwd()).root,
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

/** Versions according to `source.json`, or to pip's metadata beside the folder `tensorflow`. */
function versionsBeside(folder: string): string[] {
  const inPackage = basename(folder) === 'tensorflow';
  const source = readSource(folder) ?? (inPackage ? readSource(dirname(folder)) : null);
  if (source !== null) return [source.version];
  if (!inPackage) return [];
  return readdirSync(dirname(folder))
    .sort()
    .flatMap((name) => /^tensorflow(?:_cpu)?-(.+)\.dist-info$/.exec(name)?.[1] ?? []);
}

/** Builds by other vendors carry a suffix (`2.21.0+nv26.3`). */
function isRequiredVersion(version: string) {
  return version.split('+')[0] === TENSORFLOW_VERSION;
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
