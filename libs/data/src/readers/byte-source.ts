// The bytes of a file, decompressed if it is compressed, read in sequence in pieces of any length.
import { Readable } from 'node:stream';
import { createGunzip, createInflate } from 'node:zlib';
import { openRegularFile, regularFileChunks } from '@ct-ensemble/core';

/** Deflate encodes at most 258 bytes in two bits. */
const MAX_DEFLATE_RATIO = 1032;

export type Compression = 'none' | 'gzip' | 'zlib';

export interface ByteSource {
  /** Upper bound of the number of (decompressed) bytes, from the size of the file. */
  readonly limit: number;
  /** Fills the buffer from the current position; returns the number of bytes read, fewer only at the end of the file. */
  fill(into: Buffer): Promise<number>;
  /** Moves on by `length` bytes; returns the number of bytes skipped, fewer only at the end of the file. */
  skip(length: number): Promise<number>;
  close(): Promise<void>;
}

/**
 * Opens a file by its path, or its bytes in memory. Whether it is gzipped is decided by the first two bytes, since file
 * names are sometimes wrong, unless `compression` is given. Throws an Error if the file cannot be opened, a UserError if it is not a regular file; `fill` and `skip` throw if it is damaged.
 */
export async function openBytes(
  from: string | Uint8Array,
  { compression: given }: { compression?: Compression } = {},
): Promise<ByteSource> {
  const { size, gzip } =
    typeof from === 'string' ? await probe(from) : { size: from.length, gzip: isGzip(from) };
  const compression = given ?? (gzip ? 'gzip' : 'none');
  const chunks = chunksOf(from, compression);
  let rest: Buffer = Buffer.alloc(0);
  const take = async (length: number, give: (chunk: Buffer, at: number) => void) => {
    let done = 0;
    while (done < length) {
      if (rest.length === 0) {
        const next = await chunks.next();
        if (next.done === true) break;
        rest = next.value;
      }
      const chunk = rest.subarray(0, length - done);
      rest = rest.subarray(chunk.length);
      give(chunk, done);
      done += chunk.length;
    }
    return done;
  };
  return {
    limit: compression !== 'none' ? size * MAX_DEFLATE_RATIO : size,
    fill: (into) => take(into.length, (chunk, at) => into.set(chunk, at)),
    skip: (length) => take(length, () => undefined),
    close: async () => void (await chunks.return()),
  };
}

async function probe(path: string): Promise<{ size: number; gzip: boolean }> {
  const { handle, stats } = await openRegularFile(path);
  try {
    const start = Buffer.alloc(2);
    await handle.read(start, 0, 2, 0);
    return { size: stats.size, gzip: isGzip(start) };
  } finally {
    await handle.close();
  }
}

const isGzip = (bytes: Uint8Array) => bytes[0] === 0x1f && bytes[1] === 0x8b;

async function* chunksOf(from: string | Uint8Array, compression: Compression): AsyncGenerator<Buffer, void> {
  const file: Readable =
    typeof from === 'string'
      ? Readable.from(regularFileChunks(from), { objectMode: false, highWaterMark: 1 << 18 })
      : Readable.from([Buffer.from(from.buffer, from.byteOffset, from.length)]);
  if (compression === 'none') return yield* file as AsyncIterable<Buffer>;
  const gunzip = (compression === 'gzip' ? createGunzip : createInflate)({ chunkSize: 1 << 18 });
  file.on('error', (error: Error) => gunzip.destroy(error)).pipe(gunzip);
  try {
    yield* gunzip;
  } finally {
    file.destroy();
  }
}
