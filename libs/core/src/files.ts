// Reads JSON, hashes files, and writes files atomically: to a temporary name, which is synced and then renamed.
import { createHash, randomBytes } from 'node:crypto';
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { asUserError, codeOf, messageOf, UserError } from './errors.ts';
import { fenced, requireFence } from './fence.ts';
import { ownTag, stateOfTag } from './process-identity.ts';
import { MAX_BYTES, readRegularText, regularFileChunks } from './regular-files.ts';

/**
 * Writes a file atomically: a reader, or the machine after a crash at any moment, finds either the old or the new content, never a
 * part of it. Missing folders are created. An array is written as its parts one after the other. With `sync: false` this holds
 * for killed processes but not for a power failure, and the write takes microseconds instead of milliseconds.
 *
 * @throws {UserError} that names the file if it cannot be written: a full or read-only disk, a missing right, a folder in
 * its place. Nothing is left of the new content then.
 * @throws {LostClaimError} if the folder is fenced and another process owns its claim: see fence.ts.
 */
export async function writeFileAtomic(
  path: string,
  content: string | Uint8Array | readonly Uint8Array[],
  { sync = true }: { sync?: boolean } = {},
) {
  requireFence(path);
  const folder = dirname(path);
  const nonce = randomBytes(4).toString('hex');
  const temporary = join(folder, `.${basename(path)}.${await ownTag()}-${nonce}.tmp`);
  const parts =
    typeof content === 'string'
      ? [Buffer.from(content)]
      : content instanceof Uint8Array
        ? [content]
        : content;
  try {
    await mkdir(folder, { recursive: true });
    const file = await open(temporary, 'w');
    try {
      for (const part of parts) await file.writeFile(part);
      if (sync) await file.sync();
    } finally {
      await file.close();
    }
    await fenced.rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {}); // The first error is the one to report.
    requireFence(path); // The new owner of a fenced folder deletes temporary files of earlier ones.
    throw writeError(error, path);
  }
  if (sync) await syncFolder(folder);
}

function writeError(error: unknown, file: string): unknown {
  const known = asUserError(error, file);
  if (known !== error || codeOf(error) === undefined) return known;
  return new UserError(`cannot be written (${messageOf(error)})`, {
    file,
    remedy: 'check that its folder exists and that the disk of the folder is mounted and works',
    cause: error,
  });
}

/** The temporary names of `writeFileAtomic`; the first group names the writer. Earlier versions: `PID-NONCE`. */
const temporaryName = /^\..+\.(\d+(?:-[0-9a-f]{8}-[0-9a-f]{8})?)-[0-9a-f]{8}\.tmp$/;
const dayMs = 24 * 60 * 60 * 1000;

/**
 * Deletes the temporary files that killed processes left in the folder (not in folders below it): at once if the writer
 * ran on this machine and has ended, after a day if it cannot be checked. With `of: 'this-process'` also those of this process
 * are deleted: the caller knows that it writes nothing in the folder. With `of: 'all'` all are deleted: no other process
 * may write there. Returns how many were deleted. Files that cannot be deleted and a missing folder are ignored.
 */
export async function sweepTemporaryFiles(
  folder: string,
  { of = 'dead' }: { of?: 'dead' | 'this-process' | 'all' } = {},
): Promise<number> {
  let deleted = 0;
  for (const name of await readdir(folder).catch(() => [])) {
    const writer = temporaryName.exec(name)?.[1];
    if (writer === undefined) continue;
    const file = join(folder, name);
    const isOwn = of === 'this-process' && writer === (await ownTag());
    const state =
      of === 'all' || isOwn ? 'dead' : writer.includes('-') ? await stateOfTag(writer) : 'unknown';
    const about = await stat(file).catch(() => undefined);
    if (about === undefined || state === 'alive') continue;
    if (state !== 'dead' && Math.abs(Date.now() - about.mtimeMs) < dayMs) continue;
    const isDeleted = await rm(file).then(() => true, () => false); // prettier-ignore
    if (isDeleted) deleted++;
  }
  return deleted;
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
