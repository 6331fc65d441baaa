// Reads the files of a run again only if they have changed: a run of a thousand members is read once a second while somebody looks.
import { codeOf } from '@ct-ensemble/core';
import { stat } from 'node:fs/promises';

/** A value read from a file and a stamp that changes with the file; the stamp of a missing file is empty. */
export interface Stamped<T> {
  stamp: string;
  value: T | undefined;
}

/** Keeps what was read of each file. Errors are not kept: the file is read again the next time. */
export interface StampedFiles {
  /** What `read` returns for the file; it is not called for a missing file. Rejects like `read`. */
  get<T>(file: string, read: () => Promise<T>): Promise<Stamped<T>>;
}

export function stampedFiles(): StampedFiles {
  const known = new Map<string, Stamped<unknown>>();
  return {
    async get<T>(file: string, read: () => Promise<T>) {
      const stamp = await stampOf(file);
      const before = known.get(file);
      if (stamp !== null && before?.stamp === stamp) return before as Stamped<T>;
      const now: Stamped<T> = { stamp: stamp ?? '', value: stamp === '' ? undefined : await read() };
      if (stamp !== null) known.set(file, now);
      return now;
    },
  };
}

/** Null if the file is not accessible: reading it reports why. */
async function stampOf(file: string): Promise<string | null> {
  try {
    const { ino, mtimeNs, size } = await stat(file, { bigint: true });
    return `${ino}-${mtimeNs}-${size}`;
  } catch (error) {
    return codeOf(error) === 'ENOENT' ? '' : null;
  }
}
