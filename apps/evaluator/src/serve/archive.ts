// A zip archive from a client, unpacked with distrust: names, sizes, places and checksums of its entries are checked.
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { messageOf } from '@ct-ensemble/core';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { megabytes } from './body.ts';
import { RequestProblem, tooLarge, unreadable } from './problems.ts';

export interface UnpackOptions {
  /** Bytes of all entries, unpacked. */
  limit: number;
  /** Counts bytes before they are written; throws if there is no room. */
  reserve(bytes: number): void;
  /** Ends the unpacking with its reason. */
  signal: AbortSignal;
}

/** Entries of an archive, at most: a series has 4000 slices at most. */
export const MOST_ENTRIES = 5000;

/** Unpacked bytes for each packed byte, at most. CT slices have 2 to 4, those that are black outside the lungs up to 40. */
export const MOST_RATIO = 100;

/** Archives that unpack to fewer bytes may have any ratio. */
const SMALL = 2 ** 24;

/** Folders in each other, at most, and bytes of a name and of a path. */
const [MOST_LEVELS, MOST_NAME, MOST_PATH] = [8, 200, 1000];

const remedy = 'send a plain zip archive of one scan';

/**
 * Unpacks an archive into a new folder. Folders without files are left out.
 * @throws {RequestProblem} 413 for more entries or bytes than allowed, 422 for everything else that is wrong with the archive; the
 * error of `reserve`; the reason of the signal.
 */
export async function unpack(file: string, into: string, options: UnpackOptions): Promise<void> {
  const { limit, signal } = options;
  let zip: ZipFile | undefined;
  try {
    zip = await openPromise(file, { autoClose: false });
    if (zip.entryCount > MOST_ENTRIES) throw tooManyEntries(zip.entryCount);
    const entries: Entry[] = [];
    const names = new Names();
    for await (const entry of zip.eachEntry()) {
      signal.throwIfAborted();
      if (entries.length >= MOST_ENTRIES) throw tooManyEntries(entries.length + 1);
      requirePlain(entry);
      names.add(entry.fileName);
      if (!entry.fileName.endsWith('/')) entries.push(entry);
    }
    requireSizes(entries, limit);
    await requireApart(zip, entries);
    await mkdir(into, { mode: 0o700 });
    for (const entry of entries) await unpackEntry(zip, entry, { into, ...options });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof RequestProblem || isSystemError(error)) throw error;
    throw unreadable('zip-damaged', `the zip archive cannot be read: ${messageOf(error)}`, { remedy });
  } finally {
    zip?.close();
  }
}

const isSystemError = (error: unknown) => error instanceof Error && 'syscall' in error;

const tooManyEntries = (count: number) =>
  tooLarge('zip-entries', `the zip archive has ${count} entries, more than ${MOST_ENTRIES}`, { remedy });

const shown = (name: string) => JSON.stringify(name.slice(0, 100));

/** Refuses links, devices, encrypted entries and unusual compression. */
function requirePlain(entry: Entry) {
  const { fileName, versionMadeBy, externalFileAttributes, compressionMethod } = entry;
  const refuse = (kind: string, what: string) => {
    throw unreadable(kind, `the zip entry ${shown(fileName)} ${what}`, { remedy });
  };
  // Systems with Unix modes: 3 Unix, 19 macOS. Others may leave rubbish there, which names no type of file.
  const type = (externalFileAttributes >>> 28) & 0xf;
  const isUnix = [3, 19].includes(versionMadeBy >>> 8);
  if (type === 0xa) refuse('zip-link', 'is a symbolic link');
  if (isUnix && ![0, 4, 8].includes(type)) refuse('zip-link', 'is neither a file nor a folder');
  if (entry.isEncrypted()) refuse('zip-encrypted', 'is encrypted');
  if (compressionMethod !== 0 && compressionMethod !== 8)
    refuse(
      'zip-compression',
      `is compressed by method ${compressionMethod}; stored and deflated entries are read`,
    );
}

/** The names of an archive so far: each once, and none both a file and a folder, also where capitals are not told apart. */
class Names {
  readonly #files = new Set<string>();
  readonly #folders = new Set<string>();

  /** yauzl has refused absolute names and `..` already, and has turned backslashes into slashes. */
  add(name: string) {
    const refuse = (what: string) => {
      throw unreadable('zip-name', `the zip entry ${shown(name)} ${what}`, { remedy });
    };
    const isFolder = name.endsWith('/');
    const parts = (isFolder ? name.slice(0, -1) : name).split('/');
    if (Buffer.byteLength(name) > MOST_PATH || parts.some((part) => Buffer.byteLength(part) > MOST_NAME))
      refuse('has too long a name');
    if (parts.length > MOST_LEVELS) refuse(`lies more than ${MOST_LEVELS} folders deep`);
    // eslint-disable-next-line no-control-regex -- these are what is refused
    if (parts.some((part) => part === '' || /^\.\.?$|[\x00-\x1f\x7f:\\]|\ufffd/.test(part)))
      refuse('has a name that no file should have');
    const key = parts.join('/').normalize('NFC').toLowerCase();
    if (this.#files.has(key) || (!isFolder && this.#folders.has(key))) refuse('is there twice');
    for (let end = key.indexOf('/'); end !== -1; end = key.indexOf('/', end + 1)) {
      const folder = key.slice(0, end);
      if (this.#files.has(folder)) refuse('lies in a file');
      this.#folders.add(folder);
    }
    (isFolder ? this.#folders : this.#files).add(key);
  }
}

function requireSizes(entries: readonly Entry[], limit: number) {
  const sum = (size: (entry: Entry) => number) => entries.reduce((total, entry) => total + size(entry), 0);
  const unpacked = sum((entry) => entry.uncompressedSize);
  const packed = sum((entry) => entry.compressedSize);
  if (unpacked > limit)
    throw tooLarge('zip-unpacked-size', `the zip archive unpacks to more than ${megabytes(limit)}`, {
      remedy: 'send one scan only, or have --max-unpacked-mb raised',
    });
  if (unpacked > SMALL && unpacked > MOST_RATIO * packed)
    throw tooLarge('zip-ratio', `the zip archive unpacks to more than ${MOST_RATIO} times its size`, {
      remedy,
    });
}

/** Refuses entries that share bytes: the trick by which a small archive holds a large one many times. */
async function requireApart(zip: ZipFile, entries: readonly Entry[]) {
  const spans: { start: number; end: number }[] = [];
  for (const entry of entries) {
    const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
    spans.push({ start: entry.relativeOffsetOfLocalHeader, end: fileDataStart + entry.compressedSize });
  }
  spans.sort((a, b) => a.start - b.start);
  if (spans.some(({ start }, i) => i > 0 && start < spans[i - 1]!.end))
    throw unreadable('zip-overlap', 'entries of the zip archive overlap', { remedy });
}

async function unpackEntry(
  zip: ZipFile,
  entry: Entry,
  { into, reserve, signal }: UnpackOptions & { into: string },
) {
  const path = join(into, entry.fileName);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  let sum = 0;
  const count = new Transform({
    transform(chunk: Buffer, _, next) {
      try {
        reserve(chunk.length);
        sum = crc32(chunk, sum);
        next(null, chunk);
      } catch (error) {
        next(error as Error);
      }
    },
  });
  const bytes = await zip.openReadStreamPromise(entry);
  await pipeline(bytes, count, createWriteStream(path, { flags: 'wx', mode: 0o600 }), { signal });
  if (sum !== entry.crc32)
    throw unreadable(
      'zip-damaged',
      `the zip entry ${shown(entry.fileName)} is damaged: its checksum differs`,
      {
        remedy: 'send it again',
      },
    );
}
