// The temporary folder of a server: a folder for each request, a bound for the bytes of all, and nothing left behind.
import { lstat, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Claim, claimFolder, claimHolder, messageOf, UserError } from '@ct-ensemble/core';
import { busy } from './problems.ts';

const PREFIX = 'ct-ensemble-serve-';

/** Seconds after which a client may find room in the folder again. */
const RETRY_AFTER = 10;

/** Seconds for which a folder without a claim may be one that another server has just made. */
const YOUNG = 60;

/** The folder of one request. */
export interface RequestFolder {
  readonly path: string;
  /** Counts bytes before they are written. @throws {RequestProblem} 503 if the quota does not have them. */
  reserve(bytes: number): void;
  /** Deletes the folder and gives its bytes back. May be called again. */
  remove(): Promise<void>;
}

export interface WorkFolder {
  readonly path: string;
  /** Bytes that are reserved now. */
  readonly bytes: number;
  open(name: string): Promise<RequestFolder>;
  /** Deletes the folder. */
  close(): Promise<void>;
}

export interface WorkFolderOptions {
  /** The folder in which it is made. Default: the system's folder for temporary files. */
  parent?: string | undefined;
  /** Bytes of all requests together. */
  quota: number;
}

/**
 * Makes the folder, readable by this user only, and deletes those of this user's servers that have ended without doing so.
 * @throws {UserError} if it cannot be made.
 */
export async function openWorkFolder({ parent = tmpdir(), quota }: WorkFolderOptions): Promise<WorkFolder> {
  let path: string;
  let claim: Claim;
  try {
    await mkdir(parent, { recursive: true });
    await sweep(parent);
    path = await mkdtemp(join(parent, PREFIX));
    claim = await claimFolder(path);
  } catch (error) {
    throw new UserError(`the folder for uploads cannot be made (${messageOf(error)})`, {
      file: parent,
      remedy: 'name a folder that this user may write to with --temp',
      cause: error,
    });
  }
  let total = 0;
  return {
    path,
    get bytes() {
      return total;
    },
    async open(name) {
      const folder = join(path, name);
      await mkdir(folder, { mode: 0o700 });
      let own = 0;
      return {
        path: folder,
        reserve(bytes) {
          if (total + bytes > quota)
            throw busy('disk-quota', 'the space for uploads is used up by other requests', RETRY_AFTER);
          own += bytes;
          total += bytes;
        },
        async remove() {
          await rm(folder, { recursive: true, force: true, maxRetries: 3 });
          total -= own;
          own = 0;
        },
      };
    },
    async close() {
      await claim.release();
      await rm(path, { recursive: true, force: true, maxRetries: 3 });
    },
  };
}

/** Deletes the folders of servers that do not run any more. */
async function sweep(parent: string) {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(PREFIX)) continue;
    const path = join(parent, name);
    const stats = await lstat(path).catch(() => undefined);
    if (stats?.isDirectory() !== true || (process.getuid && stats.uid !== process.getuid())) continue;
    const holder = await claimHolder(path).catch(() => undefined);
    const isYoung = Date.now() - stats.mtimeMs < YOUNG * 1000;
    if (holder === undefined ? !isYoung : !holder.isAlive) await rm(path, { recursive: true, force: true });
  }
}
