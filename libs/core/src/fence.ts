// The fence of a claimed folder: once another process owns the folder's claim, this process, its threads and its child processes
// write nothing into the folder any more. Threads and child processes learn of the fence by an environment variable.
//
// The claim is read immediately before each rename, link, removal or append, in the same turn of the event loop, so that
// only a process that is suspended exactly between the two can still change the folder, by that one operation.
import {
  appendFileSync,
  copyFileSync,
  linkSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
} from 'node:fs';
import { appendFile, copyFile, link, rename, rm, truncate } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { codeOf, messageOf, UserError } from './errors.ts';

export interface Fence {
  /** The folder that the claim protects, with everything below it. */
  folder: string;
  /** The claim's file. */
  file: string;
  /** The nonce of this process's claim. */
  nonce: string;
}

/** A write was refused because another process owns the claim of the folder. */
export class LostClaimError extends UserError {}

const variable = 'CT_ENSEMBLE_FENCE';

/** From now on writes below the folder need the claim. Threads and child processes that start later inherit the fence. */
export function raiseFence({ folder, file, nonce }: Fence) {
  process.env[variable] = JSON.stringify({ folder: resolve(folder), file: resolve(file), nonce });
}

/** Removes the fence, if it is that of this claim. */
export function lowerFence({ nonce }: Pick<Fence, 'nonce'>) {
  if (fenceOf()?.nonce === nonce) delete process.env[variable];
}

function fenceOf(): Fence | undefined {
  const text = process.env[variable];
  return text === undefined ? undefined : (JSON.parse(text) as Fence);
}

/** Whether the path is the fenced folder or lies below it. */
function fenceAround(path: string): Fence | undefined {
  const fence = fenceOf();
  if (fence === undefined) return undefined;
  const absolute = resolve(path);
  return absolute === fence.folder || absolute.startsWith(fence.folder + sep) ? fence : undefined;
}

/**
 * Returns whether a fence protects the path.
 * @throws {LostClaimError} if one does, and another process owns the claim or the claim was removed.
 */
export function requireFence(path: string): boolean {
  const fence = fenceAround(path);
  if (fence === undefined) return false;
  const owner = ownerOf(fence);
  if (owner?.nonce === fence.nonce) return true;
  const who = owner === undefined ? 'nobody' : `process ${owner.pid} on ${owner.host}`;
  throw new LostClaimError(
    `is not written: this process no longer owns the folder ${fence.folder}, whose claim is now that of ${who}`,
    { file: path, remedy: 'nothing is to be done if that process was started later' },
  );
}

interface Owner {
  nonce?: unknown;
  pid?: unknown;
  host?: unknown;
}

/** What the claim says now; undefined if there is none. */
function ownerOf({ file }: Fence): Owner | undefined {
  for (let tries = 1; ; tries++) {
    let text: string;
    try {
      text = readFileSync(file, 'utf8');
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      // On NFS the file may be replaced while it is read.
      if (codeOf(error) === 'ESTALE' && tries < 5) continue;
      throw new Error(`the claim ${file} cannot be read (${messageOf(error)})`, { cause: error });
    }
    try {
      return JSON.parse(text) as Owner;
    } catch {
      return {};
    }
  }
}

/**
 * Changes of files that need the claim if the path is fenced; elsewhere they are those of `node:fs/promises`. Each throws
 * LostClaimError if another process owns the claim.
 */
export const fenced = {
  rename: async (from: string, to: string) => (requireFence(to) ? renameSync(from, to) : rename(from, to)),
  link: async (file: string, name: string) => (requireFence(name) ? linkSync(file, name) : link(file, name)),
  copyFile: async (file: string, name: string) =>
    requireFence(name) ? copyFileSync(file, name) : copyFile(file, name),
  /** A missing file is no error. */
  rm: async (file: string) =>
    requireFence(file) ? rmSync(file, { force: true }) : rm(file, { force: true }),
  appendFile: async (file: string, content: string | Uint8Array) =>
    requireFence(file) ? appendFileSync(file, content) : appendFile(file, content),
  truncate: async (file: string, length: number) =>
    requireFence(file) ? truncateSync(file, length) : truncate(file, length),
};
