// The first bytes of a file, to tell what it is.
import { openRegularFile } from '@ct-ensemble/core';

/** The first bytes of a regular file, `count` at most; null if it cannot be read. Preparation reports such a file. */
export async function beginningOf(path: string, count: number): Promise<Uint8Array | null> {
  const opened = await openRegularFile(path).catch(() => null);
  if (opened === null) return null;
  const { handle } = opened;
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(count), 0, count, 0);
    return buffer.subarray(0, bytesRead);
  } catch {
    return null;
  } finally {
    await handle.close();
  }
}
