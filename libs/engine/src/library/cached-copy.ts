// The integrity of a copy of TensorFlow in the cache. `source.json`, written when the copy is unpacked, holds size and
// SHA-256 of every file; `verified.json` holds when the digests were last checked and the modification times of then.
import { createHash } from 'node:crypto';
import { closeSync, createReadStream, openSync, readFileSync, readSync, renameSync, statSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** Content of `source.json`: where the files of a copy come from, and what they were when they were unpacked. */
export interface LibrarySource {
  package: string;
  version: string;
  /** Of the wheel. */
  sha256: string;
  /** The wheels with CUDA libraries of a copy for GPUs. */
  cuda?: { package: string; version: string; sha256: string }[];
  /** Path of each file within the copy → size in bytes. */
  files: Record<string, number>;
  /** Path of each file within the copy → SHA-256. Copies of earlier versions have none. */
  digests?: Record<string, string>;
}

interface Verification {
  /** ISO 8601. */
  verifiedAt: string;
  /** Path of each file → modification time in milliseconds. */
  mtimes: Record<string, number>;
}

/** `verifyCopy` reads all files again after this time. */
const VALID_MS = 86_400_000;

/** The content of `source.json`, or null if it is missing or not understood. */
export function readSource(folder: string): LibrarySource | null {
  const source = readObject(join(folder, 'source.json')) as Partial<LibrarySource> | null;
  return source?.version && source.files ? (source as LibrarySource) : null;
}

/**
 * What is damaged in a copy, or undefined. Quick enough for every start: it compares sizes, and reads a file only if its
 * modification time is not the one at which its SHA-256 was last checked.
 */
export function damageOf(copy: string): string | undefined {
  const source = readSource(copy);
  if (source === null) return 'source.json is missing or not valid';
  const wrongSize = sizeProblem(copy, source);
  if (wrongSize !== undefined || source.digests === undefined) return wrongSize;
  const { mtimes = {} } = readVerification(copy) ?? {};
  for (const name of Object.keys(source.files)) {
    if (statSync(join(copy, name)).mtimeMs === mtimes[name]) continue;
    if (sha256Of(join(copy, name)) !== source.digests[name]) return wrongDigest(name);
  }
  return undefined;
}

/**
 * What is damaged in a copy, or undefined, from the SHA-256 of every file. If the last check was less than a day ago, it
 * compares sizes and modification times instead. A copy of an earlier version, which has no digests, gets those of its
 * present files; `log` receives a line about that.
 */
export async function verifyCopy(
  copy: string,
  { log, force = false }: { log: (line: string) => void; force?: boolean },
): Promise<string | undefined> {
  const source = readSource(copy);
  if (source === null) return 'source.json is missing or not valid';
  const wrongSize = sizeProblem(copy, source);
  if (wrongSize !== undefined) return wrongSize;
  const last = readVerification(copy);
  const age = last === null ? Infinity : Date.now() - Date.parse(last.verifiedAt);
  const isRecent = age >= 0 && age < VALID_MS;
  const mtimes = modificationTimes(copy, source);
  const isUntouched = Object.entries(mtimes).every(([name, time]) => last?.mtimes[name] === time);
  if (!force && source.digests !== undefined && isRecent && isUntouched) return undefined;
  const digests: Record<string, string> = {};
  for (const name of Object.keys(source.files)) {
    const hash = createHash('sha256');
    await pipeline(createReadStream(join(copy, name)), hash);
    digests[name] = hash.digest('hex');
    if (source.digests !== undefined && digests[name] !== source.digests[name]) return wrongDigest(name);
  }
  try {
    if (source.digests === undefined) {
      replaceJson(join(copy, 'source.json'), { ...source, digests });
      log(`${copy} was installed without digests: the SHA-256 of its present files were recorded`);
    }
    recordVerification(copy, source);
  } catch {
    // The copy may be on a read-only disk; then every start reads the files whose modification times are not known.
  }
  return undefined;
}

/** Records that all digests of the copy are right now. */
export function recordVerification(copy: string, source: LibrarySource) {
  const verification: Verification = {
    verifiedAt: new Date().toISOString(),
    mtimes: modificationTimes(copy, source),
  };
  replaceJson(join(copy, 'verified.json'), verification);
}

function sizeProblem(copy: string, { files }: LibrarySource): string | undefined {
  for (const [name, bytes] of Object.entries(files)) {
    const size = statSync(join(copy, name), { throwIfNoEntry: false })?.size;
    if (size === undefined) return `${name} is missing`;
    if (size !== bytes) return `${name} has ${size} bytes instead of ${bytes}`;
  }
  return undefined;
}

function wrongDigest(name: string) {
  return `${name} has another SHA-256 than when it was installed`;
}

function modificationTimes(copy: string, { files }: LibrarySource): Record<string, number> {
  return Object.fromEntries(
    Object.keys(files).map((name) => [name, statSync(join(copy, name)).mtimeMs] as const),
  );
}

function readVerification(copy: string): Verification | null {
  const read = readObject(join(copy, 'verified.json')) as Partial<Verification> | null;
  return typeof read?.verifiedAt === 'string' && read.mtimes ? (read as Verification) : null;
}

function readObject(file: string): object | null {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}

function replaceJson(file: string, value: object) {
  const temporary = `${file}.${process.pid}`;
  writeFileSync(temporary, `${JSON.stringify(value, null, 2)}\n`, { flush: true });
  renameSync(temporary, file);
}

/** SHA-256 of a file, read in pieces of 4 MiB. */
function sha256Of(file: string): string {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(4 << 20);
  const descriptor = openSync(file, 'r');
  try {
    for (;;) {
      const count = readSync(descriptor, buffer);
      if (count === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, count));
    }
  } finally {
    closeSync(descriptor);
  }
}
