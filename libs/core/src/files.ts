// Reads JSON, hashes files, and writes files atomically: to a temporary name, which is synced and then renamed.
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { codeOf, messageOf, UserError } from './errors.ts';
import { MAX_BYTES, readRegularText, regularFileChunks } from './regular-files.ts';

/**
 * Writes a file atomically: a reader, or the machine after a crash at any moment, finds either the old or the new content, never a
 * part of it. Missing folders are created. An array is written as its parts one after the other.
 */
export async function writeFileAtomic(path: string, content: string | Uint8Array | readonly Uint8Array[]) {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true });
  const temporary = join(folder, `.${basename(path)}.${process.pid}-${randomBytes(4).toString('hex')}.tmp`);
  const parts =
    typeof content === 'string'
      ? [Buffer.from(content)]
      : content instanceof Uint8Array
        ? [content]
        : content;
  try {
    const file = await open(temporary, 'w');
    try {
      for (const part of parts) await file.writeFile(part);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}

/** Writes a value as indented JSON, atomically as `writeFileAtomic`. */
export async function writeJson(path: string, value: unknown) {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** Reads a JSON file; returns undefined if it does not exist. @throws {UserError} if it is no regular file or no JSON. */
export async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readRegularText(path, { maxBytes: MAX_BYTES.record });
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`is not JSON (${messageOf(error)})`, {
      file: path,
      remedy: 'restore or delete the file',
      cause: error,
    });
  }
}

/** Makes a rename in this folder durable across a power failure. Does nothing on platforms that cannot sync folders. */
async function syncFolder(folder: string) {
  try {
    const handle = await open(folder, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // Some platforms cannot open a folder; the rename itself has succeeded.
  }
}

/** The SHA-256 hash of a regular file of any size, in hexadecimal digits. Throws like `openRegularFile`. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(regularFileChunks(path), hash);
  return hash.digest('hex');
}
