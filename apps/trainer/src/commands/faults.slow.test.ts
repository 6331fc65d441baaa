// The command all-members when its machine fails: full and read-only disks, a clock that jumps, crashes, too little memory, a damaged
// volume; with members in threads and in processes. Every run ends with the bytes of an undisturbed one.
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { copyFile, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import type { Isolation } from '@ct-ensemble/ensemble';
import {
  killTrainings,
  probabilitiesOf,
  train,
  type TrainCommandOptions,
  writeInputs,
} from '../testing/train.ts';

jest.setTimeout(1_800_000); // Each test trains two or three times, also on a machine that is busy.

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-faults-'));
  await writeInputs(folder, { epochs: 6, edge: 24 });
  await writeFile(join(folder, 'fault.mjs'), fault);
  expect(await train(folder, 'straight')).toMatchObject({ code: 0 });
});
afterAll(async () => {
  killTrainings();
  await rm(folder, { recursive: true, force: true });
});

/**
 * Loaded into every process and thread of the trainer. After the first epoch of member one it makes the file FAULT-begun, and from then
 * on, or at that moment only, the fault that --fault names in NODE_FAULT happens there.
 */
const fault = `
  import fs from 'node:fs';
  import fsp from 'node:fs/promises';
  import { syncBuiltinESMExports } from 'node:module';
  const [kind, begun] = process.env.FAULT.split('|');
  const { open, rename } = fsp;
  const codes = { full: 'ENOSPC', 'read-only': 'EROFS' };
  const days = 24 * 60 * 60 * 1000;
  const RealDate = Date;
  if (kind === 'clock')
    globalThis.Date = class extends RealDate {
      constructor(...args) { if (args.length > 0) super(...args); else super(Date.now()); }
      static now() { return RealDate.now() - (fs.existsSync(begun) ? 3 * days : 0); }
    };
  fsp.open = async (path, flags, ...rest) => {
    if (codes[kind] && flags === 'w' && String(path).includes('/members/one/') && fs.existsSync(begun))
      throw Object.assign(new Error(codes[kind] + ': injected'), { code: codes[kind], path });
    return open(path, flags, ...rest);
  };
  fsp.rename = async (from, to) => {
    await rename(from, to);
    if (!String(to).endsWith('one/history.jsonl') || fs.existsSync(begun)) return;
    fs.writeFileSync(begun, '');
    if (kind === 'rejection') void Promise.reject(new Error('nobody awaits this'));
    if (kind === 'memory') globalThis.kept = Array.from({ length: 64 }, () => Buffer.alloc(2 ** 26, 1));
  };
  syncBuiltinESMExports();`;

/** Trains into the run `name` with a fault. */
async function trainWith(kind: string, name: string, options: TrainCommandOptions) {
  const before = ['env', `FAULT=${kind}|${join(folder, `${name}-begun`)}`, ...(options.before ?? [])];
  const node = ['--import', join(folder, 'fault.mjs')];
  const ended = await train(folder, name, { ...options, before, node });
  expect(existsSync(join(folder, `${name}-begun`))).toBe(true);
  return ended;
}

async function expectUndisturbed(name: string) {
  for (const member of ['one', 'two'] as const)
    expect(await probabilitiesOf(folder, name, member)).toBe(
      await probabilitiesOf(folder, 'straight', member),
    );
  const files = await readdir(join(folder, name), { recursive: true });
  expect(files.filter((file) => /\.tmp$|\.claim|\.process\.json|failed\.json/.test(file))).toEqual([]);
}

/** Kills the process with this signal after the second epoch of member one. */
const killedBy =
  (signal: NodeJS.Signals, pid?: (run: string) => number) =>
  (run: string): TrainCommandOptions['watch'] => {
    let isDone = false;
    return (output, kill) => {
      if (isDone || !/one: epoch 2\/6/.test(output)) return;
      isDone = true;
      if (pid) process.kill(pid(run), signal);
      else kill(signal);
    };
  };

const memberPid = (run: string) =>
  (JSON.parse(readFileSync(join(folder, run, 'members', 'one', '.process.json'), 'utf8')) as { pid: number })
    .pid;

describe.each<Isolation>(['thread', 'process'])('members in a %s each', (isolation) => {
  const args = ['--isolation', isolation];
  const inProcess = isolation === 'process';

  test.each([
    ['full', 'no space is left on the disk'],
    ['read-only', 'the file system is read-only'],
  ])(
    'a %s disk fails the member at once, the other is trained; the next start continues',
    async (kind, why) => {
      const name = `${kind}-${isolation}`;
      const { code, output } = await trainWith(kind, name, { args });
      expect(code).toBe(1);
      expect(output).toMatch(new RegExp(`FAILED {3}one: .*members/one/.*: ${why} → `));
      expect(output).toMatch(/done {5}two/);
      expect(output).not.toMatch(/one: attempt 1 failed/);
      const again = await train(folder, name, { args });
      expect(again.output).toMatch(/one: resumed/);
      expect(again.code).toBe(0);
      await expectUndisturbed(name);
    },
  );

  test('a clock that jumps back by three days changes nothing', async () => {
    const name = `clock-${isolation}`;
    expect(await trainWith('clock', name, { args })).toMatchObject({ code: 0 });
    await expectUndisturbed(name);
  });

  test('a rejection that nobody awaits ends the attempt; the member is started again', async () => {
    const name = `rejection-${isolation}`;
    const { code, output } = await trainWith('rejection', name, { args });
    expect(output).toMatch(
      /one: attempt 1 failed, the next one starts in 1 s: unhandled error: nobody awaits this/,
    );
    expect(output).toMatch(/done {5}one.*, needed 2 attempts:/);
    expect(code).toBe(0);
    await expectUndisturbed(name);
  });

  test('a segfault', async () => {
    const name = `segfault-${isolation}`;
    const watch = killedBy('SIGSEGV', inProcess ? memberPid : undefined)(name)!;
    const ended = await train(folder, name, { args, watch });
    if (inProcess) {
      expect(ended.output).toMatch(/one: attempt 1 failed, .*: its process was ended by SIGSEGV/);
    } else {
      expect(ended.signal).toBe('SIGSEGV');
      Object.assign(ended, await train(folder, name, { args }));
      expect(ended.output).toMatch(/one: resumed/);
    }
    expect(ended.code).toBe(0);
    await expectUndisturbed(name);
  });

  const cgroup = memoryGroup(isolation, 2_500_000_000);
  (cgroup ? test : test.skip)(
    `a memory limit of the control group${cgroup ? '' : ' (skipped: no right to make one)'}`,
    async () => {
      const name = `memory-${isolation}`;
      const before = ['sh', '-c', `echo $$ > ${cgroup!}/cgroup.procs && exec "$@"`, 'sh'];
      try {
        const ended = await trainWith('memory', name, { args, before });
        if (inProcess) {
          expect(ended.output).toMatch(
            /one: attempt 1 failed, .*: its process was ended by the kernel for lack of memory/,
          );
          expect(ended.output).toMatch(
            /NOTE {5}one: goes on with micro-batches of 1 scans, 3 in each step of 3/,
          );
        } else {
          expect(ended.signal).toBe('SIGKILL');
          Object.assign(ended, await train(folder, name, { args, before }));
          expect(ended.output).toMatch(/one: resumed/);
          await expectUndisturbed(name);
        }
        expect(ended.code).toBe(0);
      } finally {
        rmdirSync(cgroup!);
      }
    },
  );

  test('a volume that is cut short fails its members by name; the next start makes it anew', async () => {
    const name = `volume-${isolation}`;
    const store = join(folder, 'volumes');
    const [volume] = (await readdir(store)).filter((file) => file.endsWith('.npy'));
    const file = join(store, volume!);
    await copyFile(file, join(folder, 'kept.npy'));
    let cut: Promise<void> | undefined;
    const { code, output } = await train(folder, name, {
      args,
      watch(output) {
        if (/(one|two): started/.test(output)) cut ??= truncate(file, 100);
      },
    });
    await cut;
    expect(code).toBe(1);
    expect(output).toMatch(new RegExp(`FAILED {3}one: .*${volume}: .* → `));
    const again = await train(folder, name, { args });
    expect(again.code).toBe(0);
    expect(await readFile(file)).toEqual(await readFile(join(folder, 'kept.npy')));
    await expectUndisturbed(name);
  });
});

/** The folder of a new memory control group of version 1 or 2 with this limit in bytes; undefined without the right to make it. */
function memoryGroup(name: string, bytes: number): string | undefined {
  for (const [parent, limit] of [
    ['/sys/fs/cgroup/memory', 'memory.limit_in_bytes'],
    ['/sys/fs/cgroup', 'memory.max'],
  ] as const) {
    const group = join(parent, `ct-ensemble-${process.pid}-${name}`);
    try {
      mkdirSync(group);
      if (existsSync(join(group, limit))) {
        writeFileSync(join(group, limit), String(bytes));
        return group;
      }
      rmdirSync(group);
    } catch {
      // No such hierarchy, or no right.
    }
  }
  return undefined;
}
