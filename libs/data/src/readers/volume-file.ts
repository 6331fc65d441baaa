// Opening a volume file (NIfTI, MetaImage, NRRD) from its path or its bytes, with errors that name the file.
import { codeOf, messageOf, UserError } from '@ct-ensemble/core';
import { openBytes, type ByteSource } from './byte-source.ts';
import type { Fail } from './voxels.ts';
import { contentOfBytes } from './other-content.ts';

/** A file by its path, and its bytes if they are in memory. */
export interface VolumeFile {
  /** Names the file in errors; read from unless there are `bytes`. */
  path: string;
  bytes?: Uint8Array;
}

/**
 * Opens the file (decompressed if it is gzipped) and reads it.
 * @throws {UserError} naming the file, for every error of `read`.
 */
export async function readVolumeFile<T>(
  { path, bytes }: VolumeFile,
  { remedy: usual, read }: { remedy: string; read: (source: ByteSource, fail: Fail) => Promise<T> },
): Promise<T> {
  const fail: Fail = (problem, remedy = usual) => {
    throw new UserError(problem, { file: path, remedy });
  };
  let source: ByteSource | undefined;
  try {
    source = await openBytes(bytes ?? path);
    return await read(source, fail);
  } catch (error) {
    const other = bytes && contentOfBytes(bytes);
    if (other) throw new UserError(other.problem, { file: path, remedy: other.remedy, cause: error });
    if (error instanceof UserError) throw error.file === undefined ? withFile(error, path) : error;
    throw new UserError(problemOf(error), {
      file: path,
      remedy: codeOf(error) === 'ENOENT' ? 'check the path' : 'copy or convert the file again',
      cause: error,
    });
  } finally {
    await source?.close();
  }
}

function withFile(error: UserError, file: string): UserError {
  const { problem, remedy } = error;
  return new UserError(problem, { file, ...(remedy !== undefined && { remedy }), cause: error });
}

function problemOf(error: unknown): string {
  const code = codeOf(error) ?? '';
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'Z_BUF_ERROR') return 'is truncated: its compressed stream has no end';
  if (code.startsWith('Z_')) return `its compressed stream is damaged (${messageOf(error)})`;
  return `cannot be read (${messageOf(error)})`;
}
