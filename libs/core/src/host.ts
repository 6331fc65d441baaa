// How many CPU cores and how much memory this process may use: the machine's, within CPU affinity and control groups.
import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';

export interface Host {
  /** Cores that this process may run on: CPU affinity, which includes cpusets. Default: asked of the system. */
  cores?: number;
  /** Bytes of memory of the machine. Default: asked of the system. */
  memory?: number;
  /** Folder that holds `proc` and `sys`. Default: `/`. */
  root?: string;
}

/**
 * CPU cores that this process may keep busy: those of its affinity, at most the CPU quota of its control group (v1 or v2) and of
 * the groups above it, rounded down; at least 1.
 */
export function usableCores({ cores = availableParallelism(), root = '/' }: Host = {}): number {
  const quotas = groupsOf('cpu', root).map(({ version, folder }) => {
    if (version === 2) {
      const [quota, period] = (textOf(join(folder, 'cpu.max')) ?? '').trim().split(/\s+/);
      return share(quota, period);
    }
    return share(textOf(join(folder, 'cpu.cfs_quota_us')), textOf(join(folder, 'cpu.cfs_period_us')));
  });
  return Math.max(1, Math.floor(Math.min(cores, ...quotas)));
}

/**
 * Bytes of memory that this process may use: the machine's, at most the limits of its control group (v1 or v2) and of the groups
 * above it.
 */
export function usableMemory({ memory = totalmem(), root = '/' }: Host = {}): number {
  const limits = groupsOf('memory', root).flatMap(({ version, folder }) =>
    (version === 2 ? ['memory.max', 'memory.high'] : ['memory.limit_in_bytes']).map((name) =>
      positive(textOf(join(folder, name))),
    ),
  );
  return Math.min(memory, ...limits);
}

interface Group {
  version: 1 | 2;
  /** Where its files are mounted. */
  folder: string;
}

/** The process's group in the hierarchies that can limit this resource, and the groups above it as far as they are visible. */
function groupsOf(controller: 'cpu' | 'memory', root: string): Group[] {
  const mounts = mountsOf(controller, root);
  return lines(textOf(join(root, 'proc/self/cgroup'))).flatMap((line) => {
    const [, controllers, path] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    if (path === undefined) return [];
    const version = controllers === '' ? 2 : 1;
    if (version === 1 && !controllers!.split(',').includes(controller)) return [];
    return mounts
      .filter((mount) => mount.version === version)
      .flatMap(({ top, folder }) => {
        // In a container the path may name groups that are not mounted here; then the mounted one is the container's.
        const below = top === '/' ? path : path === top ? '/' : path.startsWith(`${top}/`) ? path.slice(top.length) : '/'; // prettier-ignore
        const parts = below.split('/').filter((part) => part !== '' && part !== '..');
        return Array.from({ length: parts.length + 1 }, (_, depth): Group => {
          return { version, folder: join(folder, ...parts.slice(0, depth)) };
        });
      });
  });
}

interface Mount extends Group {
  /** The group at the root of the mount. */
  top: string;
}

function mountsOf(controller: string, root: string): Mount[] {
  return lines(textOf(join(root, 'proc/self/mountinfo'))).flatMap((line): Mount[] => {
    const [mount, type] = line.split(' - ');
    const [, , , top, point] = (mount ?? '').split(' ');
    const [kind, , options = ''] = (type ?? '').split(' ');
    if (top === undefined || point === undefined) return [];
    const folder = join(root, unescaped(point));
    if (kind === 'cgroup2') return [{ version: 2, folder, top: unescaped(top) }];
    if (kind !== 'cgroup' || !options.split(',').includes(controller)) return [];
    return [{ version: 1, folder, top: unescaped(top) }];
  });
}

/** mountinfo writes spaces and other separators as octal numbers. */
const unescaped = (text: string) =>
  text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8)));

const lines = (text: string | undefined) => (text ?? '').split('\n').filter((line) => line !== '');

/** Quota per period; Infinity if there is none (`max`, −1, or no file). */
function share(quota: string | undefined, period: string | undefined): number {
  return positive(quota) / (positive(period) === Infinity ? 100_000 : positive(period));
}

/** A number above 0, or Infinity for any other text: `max`, −1, nothing. */
function positive(text: string | undefined): number {
  const value = Number(text?.trim() || Number.NaN);
  return value > 0 ? value : Infinity;
}

function textOf(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
