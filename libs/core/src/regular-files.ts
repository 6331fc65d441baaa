// Files that users name or that lie in their folders, opened safely. A path may lead to a pipe that never ends or a device
// that fills the memory, so nothing but a regular file is read, and no more of it than its use needs.
import { isUtf8 } from 'node:buffer';
import { constants, type Dirent, type Stats } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { codeOf, UserError } from './errors.ts';

/** Bounds of file sizes, in bytes, by what a file is used for. Each is far above what valid files need. */
export const MAX_BYTES = {
  /** One JPEG or PNG slice: 4096 × 4096 pixels of four 16-bit channels, not compressed, take 128 MiB. */
  slice: 2 ** 28,
  /** A DICOM or NIfTI file; also all files of one scan together. Node can hold no larger file in one buffer. */
  scan: 2 ** 32 - 1,
  /** A recipe. The built-in ones take less than 4 kB; the check for equal keys takes seconds for larger files. */
  recipe: 2 ** 16,
  /** A CSV table: COV19-CT-DB with a line per slice takes less than 200 MB. */
  table: 2 ** 28,
  /** An XLSX table, compressed. */
  xlsx: 2 ** 24,
  /** A file of weights. */
  weights: 2 ** 32 - 1,
  /** A file of a run folder or of the cache, JSON or msgpack. */
  record: 2 ** 29 - 2 ** 10,
} as const;

export interface ReadOptions {
  /** A larger file throws a UserError. Default: `MAX_BYTES.scan`. */
  maxBytes?: number;
}

export interface RegularFile {
  handle: FileHandle;
  /** Of the opened file, not of the path. */
  stats: Stats;
}

/**
 * Opens a regular file for reading, without waiting: opening a pipe the usual way waits for a writer. Links are followed.
 * The caller closes `handle`.
 * @throws {UserError} if the path leads to a folder, a pipe, a socket or a device, or to a file larger than `maxBytes`. A
 * file that does not exist or is not readable throws the system's error (`codeOf`: ENOENT, EACCES, …).
 */
export async function openRegularFile(path: string, options: ReadOptions = {}): Promise<RegularFile> {
  const { maxBytes = MAX_BYTES.scan } = options;
  // O_NONBLOCK and O_NOCTTY do not exist on Windows, where folders hold no pipes and devices.
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);
  let handle: FileHandle;
  try {
    handle = await open(path, flags);
  } catch (error) {
    if (codeOf(error) === 'ENXIO' || codeOf(error) === 'EOPNOTSUPP')
      refuseUnlessRegular(await stat(path), path); // a socket
    throw error;
  }
  try {
    const stats = await handle.stat();
    refuseUnlessRegular(stats, path);
    if (stats.size > maxBytes) throw tooLarge(path, maxBytes, `of ${stats.size} bytes`);
    return { handle, stats };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/**
 * Reads a regular file whole. At most `maxBytes` are read, even if the file grows meanwhile or reports a false size, as
 * files of /proc do.
 * @throws like `openRegularFile`.
 */
export async function readRegularFile(path: string, options: ReadOptions = {}): Promise<Buffer> {
  const { maxBytes = MAX_BYTES.scan } = options;
  const { handle, stats } = await openRegularFile(path, options);
  try {
    const whole = Buffer.allocUnsafeSlow(stats.size);
    let length = 0;
    while (length < whole.length) {
      // One call reads less than 2 GiB.
      const { bytesRead } = await handle.read(whole, length, Math.min(whole.length - length, 2 ** 30), null);
      if (bytesRead === 0) return whole.subarray(0, length); // It has become shorter.
      length += bytesRead;
    }
    const parts = [whole];
    for (;;) {
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(1 << 12), 0, 1 << 12, null);
      if (bytesRead === 0) return parts.length === 1 ? whole : Buffer.concat(parts);
      parts.push(buffer.subarray(0, bytesRead));
      length += bytesRead;
      if (length > maxBytes) throw tooLarge(path, maxBytes, 'that grows while it is read');
    }
  } finally {
    await handle.close();
  }
}

/** Reads a regular file as UTF-8 text; bytes that are not UTF-8 become U+FFFD. Throws like `openRegularFile`. */
export async function readRegularText(path: string, options: ReadOptions = {}): Promise<string> {
  return (await readRegularFile(path, options)).toString('utf8');
}

/** The bytes of a regular file in pieces. Closes the file at the end. Throws like `openRegularFile`. */
export async function* regularFileChunks(
  path: string,
  options: ReadOptions & { chunkSize?: number } = {},
): AsyncGenerator<Buffer, void> {
  const { maxBytes = Infinity, chunkSize = 1 << 18 } = options;
  const { handle } = await openRegularFile(path, { maxBytes });
  try {
    for (let length = 0; ;) {
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(chunkSize), 0, chunkSize, null);
      if (bytesRead === 0) return;
      length += bytesRead;
      if (length > maxBytes) throw tooLarge(path, maxBytes, 'that grows while it is read');
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}

/** What a path leads to, in words, if it is no regular file: `a pipe (FIFO)`, `a folder`, …; else undefined. */
export function irregularity(stats: Stats | Dirent): string | undefined {
  if (stats.isFile()) return undefined;
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a pipe (FIFO)';
  if (stats.isSocket()) return 'a socket';
  if (stats.isCharacterDevice() || stats.isBlockDevice()) return 'a device';
  return 'of an unknown kind';
}

function refuseUnlessRegular(stats: Stats, path: string) {
  const kind = irregularity(stats);
  if (kind === undefined) return;
  throw new UserError(`is ${kind}, not a regular file`, {
    file: path,
    remedy: 'put the file itself in its place, or remove it',
  });
}

function tooLarge(path: string, maxBytes: number, size: string): UserError {
  return new UserError(`is a file ${size}; at most ${maxBytes} bytes are read for this use`, {
    file: path,
    remedy: 'check that this is the file you mean',
  });
}

export interface FolderEntries {
  entries: Dirent[];
  /**
   * Names that are not valid UTF-8, with each invalid byte as `\xff`. Node has no text form of them with which they could
   * be opened again, so they are only reported.
   */
  notUtf8: string[];
}

/** Lists a folder like `readdir`. Throws the system's error if that fails. */
export async function readFolder(folder: string): Promise<FolderEntries> {
  const entries = await readdir(folder, { withFileTypes: true });
  // An invalid name has U+FFFD for its invalid bytes; a valid name may hold U+FFFD too.
  if (!entries.some(({ name }) => name.includes('\ufffd'))) return { entries, notUtf8: [] };
  const names = await readdir(folder, { encoding: 'buffer' });
  const valid = new Set(names.filter((name) => isUtf8(name)).map(String));
  return {
    entries: entries.filter(({ name }) => valid.has(name)),
    notUtf8: names
      .filter((name) => !isUtf8(name))
      .map(withBytesShown)
      .sort(),
  };
}

/** Invalid UTF-8 as text: ASCII as it is, every other byte as `\xff`. */
function withBytesShown(name: Buffer): string {
  return name
    .toString('latin1')
    .replace(/[^\x20-\x7e]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}
