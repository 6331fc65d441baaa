// The claim of a folder: at most one process at a time works there. The claim is a file that names its holder.
//
// A claim comes into being whole, by link(), which fails if the name exists. A dead claim is replaced only by the
// process that holds the dead claim's take-over file, `.claim.after-ID`, which is itself such a claim: whoever dies
// while taking over is taken over in the same way. ID is random and never used again, so a process that examined a
// claim long ago can neither remove nor replace a newer one.
//
// A holder on this machine is checked by pid and start time. A holder that cannot be checked (another host, another
// pid namespace) is dead if its file has not been rewritten for the time of the lease, as the starter itself observes.
// With `newest` a claim is taken over from whoever holds it, alive or not. What is written then needs the claim: see fence.ts.
// All ages are differences of two times that the file system set: clocks of hosts are never compared.
import { createHash, randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { uptime } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { codeOf, messageOf, UserError } from './errors.ts';
import { lowerFence, raiseFence } from './fence.ts';
import {
  identitySchema,
  ownIdentity,
  pidExists,
  type ProcessState,
  programOf,
  stateOf,
} from './process-identity.ts';

export interface ClaimOptions {
  /** Seconds between two heartbeats. Default 10. */
  heartbeat?: number;
  /** Seconds without a heartbeat after which a holder that cannot be checked counts as dead. Default 60. */
  lease?: number;
  /**
   * Takes the claim over at once from whoever holds it, and fences the folder: as soon as a still newer start owns it, this
   * process, its threads and its child processes write nothing there any more. Only one fence at a time. Default: false.
   */
  newest?: boolean;
  /**
   * With `newest`: a holder whose order is greater is newer than this start, whenever it claimed the folder. Numbers are
   * compared one after the other, a missing one counts as 0. Without an order, or with equal ones, the last claim is the newest.
   */
  order?: readonly number[];
  /** The advice that ends a refusal. */
  remedy?: string;
  /** Receives one line before this process waits to see whether a holder that cannot be checked still runs. */
  onWait?: (message: string) => void;
  /** Called once if the claim is lost while it is held: another process owns it, or the file was deleted. */
  onLost?: (reason: UserError) => void;
  /** Ends the waiting. */
  signal?: AbortSignal;
}

export interface Claim extends AsyncDisposable {
  /** The claim's file. */
  readonly file: string;
  /** Aborted, with a UserError as reason, if the claim is lost while it is held. */
  readonly lost: AbortSignal;
  /** Reads the file again. A writer asks this before it writes, in case it was suspended and has been taken over. */
  isHeld(): Promise<boolean>;
  /** Gives the claim up; never removes another process's claim. May be called again. */
  release(): Promise<void>;
}

const claimName = '.claim';
const longestClaim = 65536;

const recordSchema = identitySchema.extend({
  /** Names the claim's take-over file, hence its narrow form. */
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
  claimedAt: z.string(),
  command: z.string(),
  lease: z.number().positive(),
  order: z.array(z.number()).optional(),
});

/** The folder is claimed by another process, or already by this one. */
export class ClaimedError extends UserError {}

/** A claim as it lies on disk; without `record` and `legacyPid` its content cannot be understood. */
interface FoundClaim {
  file: string;
  id: string;
  /** The file system's time of the last heartbeat, in nanoseconds. */
  modified: bigint;
  record?: z.infer<typeof recordSchema>;
  /** Versions before this file existed wrote nothing but their pid. */
  legacyPid?: number;
}

/** The claim that this process is about to make, complete under a temporary name. */
interface OwnClaim {
  id: string;
  folder: string;
  temporary: string;
  size: number;
  lease: number;
  /** Takes a claim over unless its order is greater. */
  newest?: { order: readonly number[] | undefined } | undefined;
  /** The file system's time at which it was written, in nanoseconds. */
  written: bigint;
  /** Seconds since it was written, by this process's own clocks. */
  age: () => number;
}

type Outcome =
  | { kind: 'taken' }
  /** Others are changing the claim at this moment. */
  | { kind: 'retry'; found?: FoundClaim }
  | { kind: 'held'; found: FoundClaim }
  /** Looks dead by its lease, and has to be watched. */
  | { kind: 'watch'; found: FoundClaim };

/** What this process has observed of claims by watching them. */
interface Observed {
  /** `stampOf` of claims without a heartbeat for the time of their lease. */
  expired: Set<string>;
  /** Ids of claims that had a heartbeat. */
  beating: Set<string>;
}

/**
 * Claims the folder for this process by the file `.claim` in it; the folder is made if missing. A dead claim is taken
 * over: at once if its process ran on this machine and has ended, otherwise after its lease was watched to expire. With `newest`
 * any claim is.
 *
 * @throws ClaimedError if another process, or this one, holds the claim.
 * @throws UserError if the folder cannot be written.
 */
export async function claimFolder(folder: string, options: ClaimOptions = {}): Promise<Claim> {
  const { heartbeat = 10, lease = 60, signal } = options;
  if (!(heartbeat > 0 && lease >= 2 * heartbeat))
    throw new RangeError(`a lease of ${lease} s is shorter than two heartbeats of ${heartbeat} s`);
  const file = join(folder, claimName);
  const observed: Observed = { expired: new Set(), beating: new Set() };
  const newest = options.newest ? { order: options.order } : undefined;
  // A take-over file of another host is taken over only after its lease.
  const patience = newest === undefined ? 20 : 20 + 3 * lease;
  try {
    await mkdir(folder, { recursive: true });
    for (let retrying: number | undefined; ;) {
      signal?.throwIfAborted();
      const present = await readClaim(file);
      // Most starters are refused here, before they write anything.
      if (
        present?.record !== undefined &&
        !yieldsTo(newest, present.record) &&
        (await stateOf(present.record)) === 'alive'
      )
        throw await refusal(folder, present, { own: { written: present.modified, lease }, options });
      const own = await writeOwn(folder, { lease, newest });
      let outcome: Outcome;
      try {
        outcome = await take(file, own, observed);
        if (outcome.kind === 'taken') {
          const handle = await openOwn(file, own.id);
          if (handle !== undefined) {
            await sweep(own).catch(() => {}); // The claim is valid with or without what others left.
            if (newest) raiseFence({ folder, file, nonce: own.id });
            return new HeldClaim(file, own, { heartbeat, handle, onLost: options.onLost });
          }
          outcome = { kind: 'retry' };
        }
      } finally {
        await rm(own.temporary, { force: true });
      }
      if (outcome.kind === 'held') throw await refusal(folder, outcome.found, { own, options });
      if (outcome.kind === 'watch') {
        await watch(outcome.found, { own, observed, options });
        retrying = undefined;
        continue;
      }
      retrying ??= performance.now();
      if (performance.now() - retrying > patience * 1000)
        throw new UserError(
          `could not be claimed: others have been taking over a dead claim for ${patience} s` +
            (outcome.found?.record === undefined ? '' : `, at last ${holder(outcome.found.record)}`),
          { file: folder, remedy: 'start again when they have ended' },
        );
      await sleep(5 + 20 * (randomBytes(1)[0]! / 256));
    }
  } catch (error) {
    throw folderError(error, folder);
  }
}

/**
 * Puts the own claim under the name `file` if there is none or a dead one. The same function takes `.claim` and, where
 * that is dead, the take-over file that permits replacing it.
 */
async function take(file: string, own: OwnClaim, observed: Observed): Promise<Outcome> {
  if (await place(own.temporary, file, own.id)) return { kind: 'taken' };
  const found = await readClaim(file);
  if (found === undefined) return { kind: 'retry' };
  const verdict = await judge(found, own, observed);
  if (verdict !== 'dead') return { kind: verdict, found };
  const takeover = takeoverFile(own.folder, found.id);
  // A take-over that is under way, or a release, is waited for.
  const permission = await take(takeover, { ...own, newest: undefined }, observed);
  // Whoever holds the take-over file is about to hold the claim.
  if (permission.kind === 'held') return { kind: 'retry', found: permission.found };
  if (permission.kind !== 'taken') return permission;
  try {
    const now = await readClaim(file);
    if (now?.id !== found.id || stampOf(now) !== stampOf(found)) return { kind: 'retry' };
    const second = `${own.temporary.slice(0, -'.tmp'.length)}-${randomBytes(4).toString('hex')}.tmp`;
    if (!(await place(own.temporary, second, own.id))) return { kind: 'retry' };
    try {
      // A process that was suspended here for long may itself have been taken over.
      if (own.age() > own.lease / 4) return { kind: 'retry' };
      await rename(second, file);
    } finally {
      await rm(second, { force: true });
    }
    return { kind: 'taken' };
  } finally {
    await rm(takeover, { force: true });
  }
}

/** Gives the complete file a second name if that name is free; returns whether it now has it. */
async function place(temporary: string, name: string, id: string): Promise<boolean> {
  try {
    await link(temporary, name);
    return true;
  } catch (error) {
    const code = codeOf(error);
    if (code !== undefined && noHardLinks.has(code)) return copyExclusive(temporary, name);
    // On NFS a link that was made may be reported as failed, when the answer was lost and the request repeated.
    if ((await readClaim(name).catch(() => undefined))?.id === id) return true;
    // ENOENT: this process was suspended for so long that its temporary file was swept as one of a killed process.
    if (code === 'EEXIST' || code === 'ENOENT') return false;
    throw error;
  }
}

const noHardLinks = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/**
 * For file systems without hard links, such as FAT. The file is incomplete for a moment; until its lease is over,
 * content that cannot be understood counts as held.
 */
async function copyExclusive(temporary: string, name: string): Promise<boolean> {
  try {
    await copyFile(temporary, name, constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

const takeoverFile = (folder: string, id: string) => join(folder, `${claimName}.after-${id}`);

async function writeOwn(
  folder: string,
  { lease, newest }: Pick<OwnClaim, 'lease' | 'newest'>,
): Promise<OwnClaim> {
  const identity = await ownIdentity();
  const nonce = randomBytes(16).toString('hex');
  const command = process.argv.join(' ').slice(0, 400);
  const order = newest?.order && { order: newest.order };
  const record = { ...identity, nonce, claimedAt: new Date().toISOString(), command, lease, ...order };
  const text = Buffer.from(`${JSON.stringify(record, null, 2)}\n`);
  const temporary = join(folder, `${claimName}.${nonce}.tmp`);
  const [monotonic, wall] = [performance.now(), Date.now()];
  try {
    const handle = await open(temporary, 'wx');
    try {
      await handle.writeFile(text);
      await handle.sync();
      const written = (await handle.stat({ bigint: true })).mtimeNs;
      // The wall clock counts the time in which the machine was suspended, which the monotonic one does not.
      const age = () => Math.max(performance.now() - monotonic, Date.now() - wall) / 1000;
      return { id: nonce, folder, temporary, size: text.length, lease, written, age, newest };
    } finally {
      await handle.close();
    }
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Reads a claim; undefined if there is none. */
async function readClaim(file: string): Promise<FoundClaim | undefined> {
  let handle: FileHandle;
  try {
    // A pipe would otherwise be waited for, and a symbolic link followed.
    handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESTALE') return undefined;
    if (codeOf(error) === 'ELOOP') throw notAClaim(file);
    if (codeOf(error) !== 'EACCES') throw error;
    throw new UserError('the claim of this folder cannot be read: permission denied', {
      file,
      remedy: 'ask its owner whether a process is at work in the folder, or choose another folder',
      cause: error,
    });
  }
  try {
    const about = await handle.stat({ bigint: true });
    if (!about.isFile()) throw notAClaim(file);
    const buffer = Buffer.alloc(longestClaim);
    const { bytesRead } = await handle.read(buffer, 0, longestClaim, 0);
    return { file, modified: about.mtimeNs, ...understood(buffer.subarray(0, bytesRead)) };
  } catch (error) {
    if (codeOf(error) === 'ESTALE') return undefined;
    throw error;
  } finally {
    await handle.close();
  }
}

const notAClaim = (file: string) =>
  new UserError('is not a regular file, but the claim of a folder has this name', {
    file,
    remedy: 'delete or rename it if no process is at work in the folder',
  });

function understood(content: Buffer): Pick<FoundClaim, 'id' | 'record' | 'legacyPid'> {
  const text = content.toString('utf8');
  const id = createHash('sha256').update(content).digest('hex').slice(0, 32);
  if (/^\s*\d{1,10}\s*$/.test(text)) return { id, legacyPid: Number(text) };
  try {
    const record = recordSchema.parse(JSON.parse(text));
    return { id: record.nonce, record };
  } catch {
    return { id };
  }
}

/** The claim and its last heartbeat. */
const stampOf = (found: FoundClaim) => `${found.id}@${found.modified}`;

async function judge(
  found: FoundClaim,
  own: OwnClaim,
  observed: Observed,
): Promise<'dead' | 'held' | 'watch'> {
  if (yieldsTo(own.newest, found.record)) return 'dead';
  if (found.legacyPid !== undefined) return (await mayBeOlderVersion(found)) ? 'held' : 'dead';
  const state: ProcessState = found.record === undefined ? 'unknown' : await stateOf(found.record);
  if (state === 'dead') return 'dead';
  if (state === 'alive' || observed.beating.has(found.id)) return 'held';
  if (observed.expired.has(stampOf(found))) return 'dead';
  // A time far in the future is the mark of a wrong clock, not of a heartbeat.
  if (Math.abs(silence(found, own)) < leaseOf(found, own)) return 'held';
  const booted = Date.now() - uptime() * 1000;
  return state === 'rebooted' && Number(found.modified / 1_000_000n) < booted ? 'dead' : 'watch';
}

/** Whether this start takes the claim over whoever holds it. */
function yieldsTo(newest: OwnClaim['newest'], record: FoundClaim['record']): boolean {
  if (newest === undefined || (record !== undefined && heldHere.has(record.nonce))) return false;
  const [own, held] = [newest.order, record?.order];
  if (own === undefined || held === undefined) return true;
  const places = Math.max(own.length, held.length);
  const differences = Array.from({ length: places }, (_, i) => (own[i] ?? 0) - (held[i] ?? 0));
  return (differences.find((difference) => difference !== 0) ?? 0) >= 0;
}

/** Seconds since the claim's last heartbeat, by the file system's clock. */
const silence = (found: FoundClaim, own: Pick<OwnClaim, 'written'>) =>
  Number(own.written - found.modified) / 1e9;

const leaseOf = (found: FoundClaim, own: OwnClaim) => found.record?.lease ?? own.lease;

/** Whether the pid in a claim of an older version is that of a Node process which ran when the claim was made. */
async function mayBeOlderVersion({ legacyPid: pid, modified }: FoundClaim): Promise<boolean> {
  if (pid === undefined || pid === process.pid || !pidExists(pid)) return false;
  const { program, startedAt } = await programOf(pid);
  if (program !== null && !/^node/i.test(program)) return false;
  // Start times of processes are exact to about a second.
  return startedAt === null || startedAt <= Number(modified / 1_000_000n) + 2000;
}

async function refusal(
  folder: string,
  found: FoundClaim,
  { own, options }: { own: Pick<OwnClaim, 'written' | 'lease'>; options: ClaimOptions },
): Promise<UserError> {
  const remedy = options.remedy ?? 'wait until it ends, or stop it';
  const { record, legacyPid } = found;
  const seconds = Math.max(0, Math.round(silence(found, own)));
  if (legacyPid !== undefined) {
    const { command } = await programOf(legacyPid);
    const running = command === null ? '' : ` (${command.slice(0, 200)})`;
    return new ClaimedError(
      `an earlier version of this program left a claim that names process ${legacyPid}; a process of this number` +
        `${running} runs, but it may be an unrelated one`,
      { file: folder, remedy: `if that process does not work in this folder, delete ${found.file}` },
    );
  }
  if (record === undefined)
    return new ClaimedError(
      `its claim cannot be understood and was written ${seconds} s ago, perhaps by a process that is just starting`,
      {
        file: folder,
        remedy: `start again in ${Math.ceil(own.lease)} s, or delete ${found.file} if no process is at work here`,
      },
    );
  const state = await stateOf(record);
  if (record.pid === process.pid && state === 'alive')
    return new ClaimedError(`this process (${record.pid}) has already claimed the folder`, {
      file: folder,
      remedy: 'release the first claim before the second',
    });
  const beat = state === 'alive' ? '' : `, last heartbeat ${seconds} s ago`;
  const expiry =
    state === 'alive'
      ? ''
      : `; if it has ended already, start again when its last heartbeat is ${record.lease} s old`;
  return new ClaimedError(`another process is at work in this folder: ${holder(record)}${beat}`, {
    file: folder,
    remedy: `${remedy}${expiry}`,
  });
}

const holder = ({ pid, host, claimedAt, command }: NonNullable<FoundClaim['record']>) =>
  `process ${pid} on ${host} since ${claimedAt} (${command})`;

/** What a reader can find out about the claim of a folder without writing there. */
export interface ClaimHolder {
  /** Null if the claim cannot be understood or is of an earlier version. */
  pid: number | null;
  host: string | null;
  /** ISO 8601. */
  claimedAt: string | null;
  /**
   * Whether the holder runs. A holder that cannot be checked (another host, another pid namespace) counts as running if its
   * last heartbeat is younger than its lease by this machine's clock.
   */
  isAlive: boolean;
  /** Whether the holder is known for certain to run on this machine, so that it may be signalled by its pid. */
  isHere: boolean;
}

/**
 * Who holds the claim of a folder; undefined if nobody does. `now` is the present time of the file system in milliseconds since
 * 1970, such as that of a file just written; by default it is this machine's, which may differ: decide nothing by it then.
 * @throws UserError if the claim cannot be read.
 */
export async function claimHolder(
  folder: string,
  { now = Date.now() }: { now?: number } = {},
): Promise<ClaimHolder | undefined> {
  const found = await readClaim(join(folder, claimName));
  if (found === undefined) return undefined;
  const { record, legacyPid, modified } = found;
  const isFresh = Math.abs(now - Number(modified / 1_000_000n)) < (record?.lease ?? 60) * 1000;
  const state = record === undefined ? 'unknown' : await stateOf(record);
  return {
    pid: record?.pid ?? legacyPid ?? null,
    host: record?.host ?? null,
    claimedAt: record?.claimedAt ?? null,
    isAlive:
      legacyPid === undefined
        ? state === 'alive' || (state === 'unknown' && isFresh)
        : await mayBeOlderVersion(found),
    isHere: state === 'alive',
  };
}

/** Observes the claim until it changes or its lease has passed, by this process's monotonic clock. */
async function watch(
  found: FoundClaim,
  { own, observed, options }: { own: OwnClaim; observed: Observed; options: ClaimOptions },
): Promise<void> {
  const lease = leaseOf(found, own);
  const who = found.record === undefined ? 'a claim that cannot be understood' : holder(found.record);
  options.onWait?.(
    `${found.file}: ${who}; not changed for ${Math.round(silence(found, own))} s. ` +
      `It is taken over if it does not change within ${lease} s; waiting.`,
  );
  const started = performance.now();
  for (let over = false; !over;) {
    await sleep(Math.min(0.25, lease / 20) * 1000, undefined, {
      ...(options.signal && { signal: options.signal }),
    });
    over = performance.now() - started >= lease * 1000;
    const now = await readClaim(found.file);
    if (now?.id !== found.id) return;
    if (now.modified === found.modified) continue;
    observed.beating.add(found.id);
    return;
  }
  observed.expired.add(stampOf(found));
}

/** Opens the claim for heartbeats; undefined if it is not this process's. */
async function openOwn(file: string, id: string): Promise<FileHandle | undefined> {
  const handle = await open(file, 'r+').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ESTALE') return undefined;
    throw error;
  });
  const content = await handle?.readFile();
  if (content !== undefined && understood(content).id === id) return handle;
  await handle?.close();
  return undefined;
}

/** Deletes what killed processes left: temporary files, and take-over files of claims that no longer exist. */
async function sweep(own: OwnClaim): Promise<void> {
  const left = /^\.claim\.(?:[0-9a-f-]{32,}\.tmp|after-[0-9a-f]{32})$/;
  for (const name of await readdir(own.folder)) {
    if (!left.test(name) || name === `${claimName}.after-${own.id}`) continue;
    const file = join(own.folder, name);
    if (file === own.temporary) continue;
    const about = await stat(file, { bigint: true }).catch(() => undefined);
    if (about === undefined) continue;
    const isTemporary = name.endsWith('.tmp');
    if (isTemporary && about.nlink > 1n) continue;
    const isYoung = Number(own.written - about.mtimeNs) / 1e9 < own.lease;
    if (isYoung && !(isTemporary && (await isOfDeadProcess(file)))) continue;
    await rm(file, { force: true }).catch(() => {}); // Another process may sweep too, or the file be another user's.
  }
}

async function isOfDeadProcess(file: string): Promise<boolean> {
  const found = await readClaim(file).catch(() => undefined);
  return found?.record !== undefined && (await stateOf(found.record)) === 'dead';
}

/** Nonces of the claims that this process holds. */
const heldHere = new Set<string>();

class HeldClaim implements Claim {
  readonly file: string;
  private readonly own: OwnClaim;
  private readonly handle: FileHandle;
  private readonly heartbeat: number;
  private readonly onLost: ((reason: UserError) => void) | undefined;
  private readonly controller = new AbortController();
  private timer: NodeJS.Timeout | undefined;
  private beating: Promise<void> = Promise.resolve();
  private released: Promise<void> | undefined;
  /** When the file was last seen to be this process's. */
  private seen = performance.now();

  constructor(
    file: string,
    own: OwnClaim,
    about: { heartbeat: number; handle: FileHandle; onLost: ClaimOptions['onLost'] },
  ) {
    this.file = file;
    this.own = own;
    this.handle = about.handle;
    this.heartbeat = about.heartbeat;
    this.onLost = about.onLost;
    heldHere.add(own.id);
    this.schedule();
  }

  get lost(): AbortSignal {
    return this.controller.signal;
  }

  async isHeld(): Promise<boolean> {
    if (this.released !== undefined || this.lost.aborted) return false;
    let found: FoundClaim | undefined;
    try {
      found = await readClaim(this.file);
    } catch (error) {
      // One failed read says nothing; a file that cannot be read for the time of the lease may be another's by now.
      if (performance.now() - this.seen > this.own.lease * 1000) this.lose(`(${messageOf(error)})`);
      return false;
    }
    if (found?.id !== this.own.id) {
      if (this.released === undefined) this.lose(found?.record ? `to ${holder(found.record)}` : '(deleted)');
      return false;
    }
    this.seen = performance.now();
    return true;
  }

  release(): Promise<void> {
    return (this.released ??= this.giveUp());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }

  private schedule() {
    this.timer = setTimeout(() => {
      this.beating = this.beat();
      void this.beating.then(() => {
        if (this.released === undefined && !this.lost.aborted) this.schedule();
      });
    }, this.heartbeat * 1000).unref();
  }

  /**
   * Writes the last byte once more, through the open file: the file system then sets the time by its own clock, and
   * it is this process's file that is written even if another one has meanwhile taken its name.
   */
  private async beat() {
    if (!(await this.isHeld())) return;
    try {
      await this.handle.write('\n', this.own.size - 1);
      await this.handle.datasync();
    } catch {
      // Tried again at the next heartbeat. If another process takes over meanwhile, isHeld finds that out.
    }
  }

  private lose(why: string) {
    if (this.lost.aborted) return;
    clearTimeout(this.timer);
    const reason = new UserError(`this process lost its claim of the folder ${why}`, {
      file: this.file,
      remedy: 'start again when no other process is at work in the folder',
    });
    this.controller.abort(reason);
    this.onLost?.(reason);
  }

  private async giveUp() {
    clearTimeout(this.timer);
    await this.beating;
    try {
      if (!this.lost.aborted) await this.remove();
      // Whoever has lost a claim must not write there later either.
      if (this.own.newest && !this.lost.aborted) lowerFence({ nonce: this.own.id });
    } catch (error) {
      throw folderError(error, this.file);
    } finally {
      heldHere.delete(this.own.id);
      await this.handle.close();
    }
  }

  /** Removes the claim, under its own take-over file so that nobody replaces it between the look and the removal. */
  private async remove() {
    const { folder, id, lease } = this.own;
    const isOwn = async () => (await readClaim(this.file))?.id === id;
    if (!(await isOwn())) return;
    const guard = await writeOwn(folder, { lease }).catch((error: unknown) => {
      if (codeOf(error) === 'ENOSPC' || codeOf(error) === 'EDQUOT') return undefined;
      throw error;
    });
    if (guard === undefined) return rm(this.file, { force: true }); // A full disk must not keep the claim in place.
    try {
      const takeover = takeoverFile(folder, id);
      const none: Observed = { expired: new Set(), beating: new Set() };
      // Otherwise another process is taking this claim over and replaces it itself.
      if ((await take(takeover, guard, none)).kind !== 'taken') return;
      try {
        if (await isOwn()) await rm(this.file, { force: true });
      } finally {
        await rm(takeover, { force: true });
      }
    } finally {
      await rm(guard.temporary, { force: true });
    }
  }
}

/** The error for the reader if the folder or the disk is at fault; any other error as it is. */
export function folderError(error: unknown, file: string): unknown {
  const elsewhere = 'or choose another folder';
  const [problem, remedy] =
    {
      EACCES: [
        'cannot be written: permission denied',
        `give this user the right to write there, ${elsewhere}`,
      ],
      EPERM: ['cannot be written: not permitted', `give this user the right to write there, ${elsewhere}`],
      EROFS: ['cannot be written: the file system is read-only', `mount it for writing, ${elsewhere}`],
      ENOSPC: ['cannot be written: no space is left on the disk', `free some space, ${elsewhere}`],
      EDQUOT: ['cannot be written: the disk quota is used up', `free some space, ${elsewhere}`],
      ENOTDIR: ['is not a folder: a part of its path is a file', 'choose another folder'],
      EEXIST: ['is a file, not a folder', 'choose another folder'],
    }[codeOf(error) ?? ''] ?? [];
  if (error instanceof UserError || problem === undefined || remedy === undefined) return error;
  return new UserError(problem, { file, remedy, cause: error });
}
