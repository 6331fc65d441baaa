// Which process this is, in a form that another process can check later: host, boot, pid namespace, pid, start time.
// Linux reads /proc. macOS has neither a boot id nor pid namespaces: there the start time comes from `ps -o lstart=`,
// which names the second and therefore also tells two boots apart. Elsewhere a process can never be checked ('unknown').
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { codeOf } from './errors.ts';

export interface ProcessIdentity {
  host: string;
  /** /proc/sys/kernel/random/boot_id; null where there is none. */
  bootId: string | null;
  /** The target of /proc/self/ns/pid, such as `pid:[4026531836]`; null where there is none. */
  pidNamespace: string | null;
  pid: number;
  /** Field 22 of /proc/PID/stat (clock ticks since boot), or what `ps -o lstart=` prints; null if unknown. */
  startTime: string | null;
}

/** An identity as it is written to files. */
export const identitySchema = z.object({
  host: z.string(),
  bootId: z.string().nullable(),
  pidNamespace: z.string().nullable(),
  pid: z.int().positive(),
  startTime: z.string().nullable(),
}) satisfies z.ZodType<ProcessIdentity>;

/**
 * `alive` and `dead` are certain. `rebooted`: a host of the same name, since booted anew, or another host that has
 * the same name. `unknown`: another host or another pid namespace, from where the pid cannot be checked.
 */
export type ProcessState = 'alive' | 'dead' | 'rebooted' | 'unknown';

let own: Promise<ProcessIdentity> | undefined;

/** The identity of this process. */
export function ownIdentity(): Promise<ProcessIdentity> {
  return (own ??= readOwnIdentity());
}

async function readOwnIdentity(): Promise<ProcessIdentity> {
  const linux = process.platform === 'linux';
  const stat = linux ? await statOf('self') : undefined;
  return {
    host: hostname(),
    bootId: linux ? await orNull(readFile('/proc/sys/kernel/random/boot_id', 'utf8')) : null,
    pidNamespace: linux ? await orNull(readlink('/proc/self/ns/pid')) : null,
    pid: process.pid,
    startTime: linux ? (stat?.startTime ?? null) : await startTimeByPs(process.pid),
  };
}

/** Whether the process still runs, as far as this process can find out. */
export async function stateOf(other: ProcessIdentity): Promise<ProcessState> {
  const self = await ownIdentity();
  if (other.host !== self.host) return 'unknown';
  if (process.platform === 'linux') {
    if (self.bootId === null || self.pidNamespace === null) return 'unknown';
    if (other.bootId !== self.bootId) return other.bootId === null ? 'unknown' : 'rebooted';
    if (other.pidNamespace !== self.pidNamespace) return 'unknown';
  } else if (process.platform !== 'darwin' || other.bootId !== null || other.pidNamespace !== null) {
    return 'unknown';
  }
  if (!pidExists(other.pid)) return 'dead';
  const now = await runningProcess(other.pid);
  if (now === undefined) return pidExists(other.pid) ? 'alive' : 'dead';
  if (now.ended) return 'dead';
  const known = now.startTime !== null && other.startTime !== null;
  return known && now.startTime !== other.startTime ? 'dead' : 'alive';
}

/**
 * Names this process in a file name: `PID-START-MACHINE`, the last two as hashes of eight hexadecimal digits, of the
 * start time and of host, boot and pid namespace.
 */
export async function ownTag(): Promise<string> {
  const { pid, startTime, ...machine } = await ownIdentity();
  return `${pid}-${hash8(startTime)}-${hash8(machine)}`;
}

/** The state of the process that a tag of `ownTag` names; `unknown` for one of another host, boot or pid namespace. */
export async function stateOfTag(tag: string): Promise<ProcessState> {
  const [pid, start, machine] = tag.split('-');
  const self = (await ownTag()).split('-');
  if (machine !== self[2]) return 'unknown';
  if (!pidExists(Number(pid))) return 'dead';
  const now = await runningProcess(Number(pid));
  if (now === undefined) return pidExists(Number(pid)) ? 'alive' : 'dead';
  return now.ended || (now.startTime !== null && hash8(now.startTime) !== start) ? 'dead' : 'alive';
}

const hash8 = (value: unknown) =>
  createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, 8);

/** Whether a process of this pid exists; one that belongs to another user counts. */
export function pidExists(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

/**
 * What is known of a running process beyond its pid. Fields that cannot be found out are null.
 *
 * - program: base name of the executable, such as `node`
 * - startedAt: milliseconds since 1970, exact to about a second
 */
export async function programOf(
  pid: number,
): Promise<{ program: string | null; command: string | null; startedAt: number | null }> {
  if (process.platform !== 'linux' || !(await procShowsOwnNamespace()))
    return { program: null, command: null, startedAt: null };
  const command = await orNull(readFile(`/proc/${pid}/cmdline`, 'utf8'));
  const executable = (await orNull(readlink(`/proc/${pid}/exe`))) ?? command?.split('\0')[0];
  const bootTime = /^btime (\d+)$/m.exec((await orNull(readFile('/proc/stat', 'utf8'))) ?? '')?.[1];
  const ticks = (await statOf(pid))?.startTime;
  return {
    program: executable ? basename(executable.replace(/ \(deleted\)$/, '')) : null,
    command: command?.split('\0').join(' ').trim() || null,
    startedAt:
      bootTime === undefined || ticks === undefined
        ? null
        : (Number(bootTime) + Number(ticks) / ticksPerSecond) * 1000,
  };
}

/** USER_HZ, which Linux fixes at 100 for /proc on every architecture that Node supports. */
const ticksPerSecond = 100;

async function runningProcess(pid: number) {
  if (process.platform !== 'linux') return { ended: false, startTime: await startTimeByPs(pid) };
  return (await procShowsOwnNamespace()) ? statOf(pid) : undefined;
}

/** False if /proc was mounted for another pid namespace: its numbers are then not the pids that this process sees. */
async function procShowsOwnNamespace(): Promise<boolean> {
  return (await statOf('self'))?.pid === process.pid;
}

async function statOf(pid: number | 'self') {
  const text = await orNull(readFile(`/proc/${pid}/stat`, 'utf8'));
  if (text === null) return undefined;
  // The name of the program, in parentheses, may itself hold spaces and parentheses; field 3 (state) follows it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    pid: Number.parseInt(text),
    /** Killed, and not yet waited for by its parent. */
    ended: fields[0] === 'Z' || fields[0] === 'X',
    startTime: fields[22 - 3] ?? null,
  };
}

async function startTimeByPs(pid: number): Promise<string | null> {
  const environment = { ...process.env, LC_ALL: 'C', TZ: 'UTC' };
  const ps = promisify(execFile)('ps', ['-o', 'lstart=', '-p', String(pid)], { env: environment });
  return orNull(ps.then(({ stdout }) => stdout));
}

async function orNull(text: Promise<string>): Promise<string | null> {
  try {
    return (await text).trim() || null;
  } catch {
    return null;
  }
}
