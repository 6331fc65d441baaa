// Where TensorFlow's C library is on this machine: the variable, the cache, then python3's packages.
// Finds, never fetches (install.ts does) and never loads.
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { EngineError } from './errors.ts';

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
}

/** The platforms for which TensorFlow is published with its C library. */
export type Platform = 'linux-x64' | 'linux-arm64' | 'darwin-arm64';

/** What `source.json` beside the cached libraries says of them. */
export interface LibrarySource {
  package: string;
  version: string;
  sha256: string;
  /** Bytes of each library. */
  files: Record<string, number>;
}

export function thisHost(): Host {
  return {
    platform: process.platform,
    arch: process.arch,
    env: process.env,
    get glibc() {
      const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
      return header?.glibcVersionRuntime;
    },
  };
}

/**
 * The library, or null when there is none. Quick: python3 is asked only when variable and cache have nothing.
 * @throws EngineError `library-missing` or `library-version` when CT_ENSEMBLE_TENSORFLOW is set but wrong,
 *   `library-damaged` when the cached copy is not whole.
 */
export function findTensorFlow(host: Host = thisHost()): TensorFlowLibrary | null {
  return search(host).library;
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
        `run \`nx run engine:install\`, or \`pip install tensorflow-cpu==${TENSORFLOW_VERSION}\`, ` +
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

/** The folder in the cache that holds the libraries of this version and platform. */
export function cachedLibraryFolder(host: Host): string {
  return join(cacheFolder(host), `tensorflow-${TENSORFLOW_VERSION}-${host.platform}-${host.arch}`);
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
export function inCache(host: Host): TensorFlowLibrary | null {
  const folder = cachedLibraryFolder(host);
  if (!existsSync(folder)) return null;
  const library = librariesIn(folder, host);
  const source = readSource(folder);
  if (library === null || source === null || !hasSizes(folder, source)) {
    throw new EngineError('library-damaged', `the TensorFlow in ${folder} is not whole`, {
      remedy: 'delete that folder and run `nx run engine:install`',
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
  const library = fromVariable(host) ?? inCache(host);
  return library === null ? fromPython(host) : { library, seen: [] };
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
  const source = readSource(folder);
  if (source !== null) return [source.version];
  if (basename(folder) !== 'tensorflow') return [];
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
