// The container of an ensemble file: a zip archive of stored entries that ends with the SHA-256 of everything before it. Equal
// entries give equal bytes on every machine.
import { createHash } from 'node:crypto';
import { codeOf, MAX_BYTES, messageOf, readRegularFile, UserError, writeFileAtomic } from '@ct-ensemble/core';
import { zipSync } from 'fflate';
import { fromBufferPromise } from 'yauzl';

/** An entry of the archive: its name, and its bytes as a view of the file's. */
export interface ContainerEntry {
  name: string;
  bytes: Uint8Array;
}

/** The archive's comment: a text of fixed length that holds the digest. */
const COMMENT = /^sha256:([0-9a-f]{64})$/;
const COMMENT_BYTES = 'sha256:'.length + 64;

/** Names that an ensemble file may have; nothing is ever written to disk under them. */
const ENTRY_NAME =
  /^(?:manifest\.json|recipe\.json|README\.md|members\/[A-Za-z0-9][A-Za-z0-9._-]{0,63}\.safetensors|networks\/(?:slice-filter|lung-segmenter)\.safetensors)$/;

/** Entries of a file, at most: a recipe has 1000 members at most. */
const MOST_ENTRIES = 1010;

const remedy = 'copy the file again from where it was packed, or pack it anew with evaluator:pack';

/** The digest of some bytes, hexadecimal. Node digests less than 2 GiB in one call. */
export function sha256Of(bytes: Uint8Array): string {
  const hash = createHash('sha256');
  const step = 2 ** 30;
  for (let at = 0; at < bytes.length; at += step) hash.update(bytes.subarray(at, at + step));
  return hash.digest('hex');
}

/** Writes the entries in their order, atomically. */
export async function writeContainer(file: string, entries: readonly ContainerEntry[]) {
  const total = entries.reduce((sum, { bytes }) => sum + bytes.length + 1024, 0);
  if (total > MAX_BYTES.weights)
    throw new UserError(`would have ${total} bytes; an ensemble file has ${MAX_BYTES.weights} at most`, {
      file,
      remedy: 'pack fewer members with --submission, or half the bytes with --float16',
    });
  // The time is read back in the local zone, so that the bytes are the same in every zone.
  const mtime = new Date(1980, 0, 1, 12);
  const zip = zipSync(
    Object.fromEntries(entries.map(({ name, bytes }) => [name, [bytes, { level: 0, mtime }]])),
  );
  // The last two bytes are the length of the comment that follows.
  new DataView(zip.buffer, zip.byteOffset).setUint16(zip.length - 2, COMMENT_BYTES, true);
  await writeFileAtomic(file, [zip, Buffer.from(`sha256:${sha256Of(zip)}`)]);
}

export interface Container {
  /** All bytes of the file. */
  buffer: Buffer;
  entries: Map<string, Uint8Array>;
}

/**
 * Reads the file into memory and checks its digest and the names and sizes of its entries.
 * @throws {UserError} if the file is missing, cut short, damaged, or no ensemble file.
 */
export async function readContainer(file: string): Promise<Container> {
  const buffer = await bytesOf(file);
  const refuse = (problem: string): never => {
    throw new UserError(problem, { file, remedy });
  };
  if (buffer.length < 4 || buffer.readUInt32LE(0) !== 0x04034b50)
    refuse(`is no ensemble file: it does not begin as a zip archive${lfsHint(buffer)}`);
  const comment = COMMENT.exec(buffer.subarray(-COMMENT_BYTES).toString('latin1'));
  const digest = comment?.[1];
  if (digest === undefined)
    refuse('is cut short or is no ensemble file: it does not end with its SHA-256 digest');
  const found = sha256Of(buffer.subarray(0, buffer.length - COMMENT_BYTES));
  if (found !== digest) refuse(`is damaged: its SHA-256 is ${found}, and its last bytes say ${digest}`);
  const entries = new Map<string, Uint8Array>();
  try {
    const zip = await fromBufferPromise(buffer, { strictFileNames: true });
    if (zip.entryCount > MOST_ENTRIES) throw new Error(`it has ${zip.entryCount} entries`);
    for await (const entry of zip.eachEntry()) {
      const { fileName, compressionMethod, compressedSize, uncompressedSize } = entry;
      const shown = JSON.stringify(fileName).slice(0, 100);
      if (!ENTRY_NAME.test(fileName)) throw new Error(`the entry ${shown} does not belong into it`);
      if (entries.has(fileName)) throw new Error(`it has the entry ${shown} twice`);
      if (compressionMethod !== 0 || entry.isEncrypted() || compressedSize !== uncompressedSize)
        throw new Error(`the entry ${shown} is compressed or encrypted`);
      const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
      entries.set(fileName, buffer.subarray(fileDataStart, fileDataStart + uncompressedSize));
    }
  } catch (error) {
    refuse(`is no ensemble file: ${messageOf(error)}`);
  }
  return { buffer, entries };
}

async function bytesOf(file: string): Promise<Buffer> {
  try {
    return await readRegularFile(file, { maxBytes: MAX_BYTES.weights });
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    throw new UserError('there is no such ensemble file', {
      file,
      remedy: 'give the path of a file that evaluator:pack wrote',
      cause: error,
    });
  }
}

const lfsHint = (buffer: Buffer) =>
  buffer.subarray(0, 40).toString('latin1').startsWith('version https://git-lfs')
    ? ' but as a pointer of Git LFS'
    : '';
