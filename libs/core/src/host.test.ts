// Cores and memory under fake control groups, laid out as Linux, Docker and systemd lay them out.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir, totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { usableCores, usableMemory } from './host.ts';

const GIB = 2 ** 30;
const roots: string[] = [];
afterAll(() => roots.forEach((root) => rmSync(root, { recursive: true })));

function host(files: Record<string, string>) {
  const root = mkdtempSync(join(tmpdir(), 'host-'));
  roots.push(root);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return { root, cores: 16, memory: 64 * GIB };
}

const V2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n';
const v1 = (controllers: string, top = '/') =>
  `3${controllers.length} 31 0:29 ${top} /sys/fs/cgroup/${controllers} rw,relatime - cgroup cgroup rw,${controllers}\n`;
const UNLIMITED = '9223372036854771712\n';

const cases: { what: string; files: Record<string, string>; cores: number; gib: number }[] = [
  { what: 'no control groups', files: {}, cores: 16, gib: 64 },
  {
    what: 'v2 without limits',
    files: {
      'proc/self/cgroup': '0::/user.slice\n',
      'proc/self/mountinfo': V2,
      'sys/fs/cgroup/user.slice/cpu.max': 'max 100000\n',
      'sys/fs/cgroup/user.slice/memory.max': 'max\n',
    },
    cores: 16,
    gib: 64,
  },
  {
    what: 'v2 in a container with a namespace of its own',
    files: {
      'proc/self/cgroup': '0::/\n',
      'proc/self/mountinfo': V2,
      'sys/fs/cgroup/cpu.max': '400000 100000\n',
      'sys/fs/cgroup/memory.max': `${8 * GIB}\n`,
    },
    cores: 4,
    gib: 8,
  },
  {
    what: 'v2 where groups above have the lower limits',
    files: {
      'proc/self/cgroup': '0::/batch.slice/job.scope/step\n',
      'proc/self/mountinfo': V2,
      'sys/fs/cgroup/batch.slice/cpu.max': '250000 100000\n',
      'sys/fs/cgroup/batch.slice/memory.max': `${32 * GIB}\n`,
      'sys/fs/cgroup/batch.slice/job.scope/memory.high': `${12 * GIB}\n`,
      'sys/fs/cgroup/batch.slice/job.scope/step/cpu.max': '800000 100000\n',
      'sys/fs/cgroup/batch.slice/job.scope/step/memory.max': 'max\n',
    },
    cores: 2, // 2.5 cores
    gib: 12,
  },
  {
    what: 'v1 in Docker: the mount is the group of the container',
    files: {
      'proc/self/cgroup': '5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/docker/abc\n',
      'proc/self/mountinfo': v1('cpu,cpuacct', '/docker/abc') + v1('memory', '/docker/abc'),
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '50000\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': `${6 * GIB}\n`,
    },
    cores: 1, // half a core
    gib: 6,
  },
  {
    what: 'v1 with nested groups, one without limits',
    files: {
      'proc/self/cgroup': '9:name=systemd:/\n4:memory:/slurm/job_7/step_0\n3:cpu:/slurm/job_7\n0::/\n',
      'proc/self/mountinfo': v1('cpu') + v1('memory'),
      'sys/fs/cgroup/cpu/slurm/job_7/cpu.cfs_quota_us': '-1\n',
      'sys/fs/cgroup/cpu/slurm/job_7/cpu.cfs_period_us': '100000\n',
      'sys/fs/cgroup/memory/memory.limit_in_bytes': UNLIMITED,
      'sys/fs/cgroup/memory/slurm/job_7/memory.limit_in_bytes': `${20 * GIB}\n`,
      'sys/fs/cgroup/memory/slurm/job_7/step_0/memory.limit_in_bytes': UNLIMITED,
    },
    cores: 16,
    gib: 20,
  },
  {
    what: 'v1 for memory beside v2 without controllers',
    files: {
      'proc/self/cgroup': '4:memory:/a b\n0::/\n',
      'proc/self/mountinfo':
        '35 31 0:32 / /sys/fs/cgroup/memory\\040v1 rw - cgroup cgroup rw,memory\n' +
        '41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n',
      'sys/fs/cgroup/memory v1/a b/memory.limit_in_bytes': `${3 * GIB}\n`,
    },
    cores: 16,
    gib: 3,
  },
  {
    what: 'limits above what the machine has',
    files: {
      'proc/self/cgroup': '0::/\n',
      'proc/self/mountinfo': V2,
      'sys/fs/cgroup/cpu.max': '6400000 100000\n',
      'sys/fs/cgroup/memory.max': `${500 * GIB}\n`,
    },
    cores: 16,
    gib: 64,
  },
];

test.each(cases)('$what: $cores cores and $gib GiB', ({ files, cores, gib }) => {
  const on = host(files);
  expect(usableCores(on)).toBe(cores);
  expect(usableMemory(on)).toBe(gib * GIB);
});

test('this machine', () => {
  expect(usableCores()).toBeGreaterThanOrEqual(1);
  expect(usableCores()).toBeLessThanOrEqual(availableParallelism());
  expect(usableMemory()).toBeGreaterThan(2 ** 26);
  expect(usableMemory()).toBeLessThanOrEqual(totalmem());
});
