// The command member with real training: signals, requeueing, and two copies of one member. Whatever happens, the end has the bytes
// of an undisturbed run.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { jest } from '@jest/globals';
import { killTrainings, train, writeInputs } from '../testing/train.ts';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
jest.setTimeout(900_000); // Each start loads TensorFlow, which takes long on a busy machine.
let folder: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-member-'));
  await writeInputs(folder, { epochs: 16, edge: 16 });
  expect(await train(folder, 'whole')).toMatchObject({ code: 0 });
  await cp(join(folder, 'whole'), join(folder, 'prepared'), { recursive: true });
  await rm(join(folder, 'prepared', 'members'), { recursive: true });
  await mkdir(join(folder, 'bin'));
  const scontrol = join(folder, 'bin', 'scontrol');
  await writeFile(scontrol, '#!/bin/sh\nfor word in "$@"; do printf "[%s]" "$word"; done >> "$CALLS"\n');
  await chmod(scontrol, 0o755);
});
afterAll(() => {
  killTrainings();
  for (const child of children) child.kill('SIGKILL');
});

const array = { SLURM_JOB_ID: '15', SLURM_ARRAY_JOB_ID: '12', SLURM_ARRAY_TASK_ID: '3' };

/** Starts the member `one` of a run. */
function start(run: string, environment: Record<string, string> = {}, args: readonly string[] = []) {
  const words = `member --run ${run} --member one --devices cpu:1 --volumes volumes --checkpoint-minutes 0.01`;
  const child = spawn(process.execPath, [main, ...words.split(' '), ...args], {
    cwd: folder,
    env: {
      ...process.env,
      PATH: `${join(folder, 'bin')}:${process.env['PATH']}`,
      CALLS: join(folder, run, 'calls'),
      ...environment,
    },
  });
  children.push(child);
  const started = {
    child,
    output: '',
    until: async (text: string) => {
      while (!started.output.includes(text)) {
        if (child.exitCode !== null) throw new Error(`ended without "${text}":\n${started.output}`);
        await sleep(5);
      }
    },
    ended: once(child, 'close') as Promise<[number | null, NodeJS.Signals | null]>,
  };
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (piece: Buffer) => (started.output += piece.toString()));
  return started;
}

/** The process in which the member is trained, if it has one of its own. The newer start ends it. */
const processOf = async (run: string) =>
  (
    JSON.parse(await readFile(join(folder, run, 'members', 'one', '.process.json'), 'utf8')) as {
      pid: number;
    }
  ).pid;

const newRun = (name: string) => cp(join(folder, 'prepared'), join(folder, name), { recursive: true });
const calls = async (run: string) => readFile(join(folder, run, 'calls'), 'utf8').catch(() => '');

/** The member's files that equal runs have equal, and none that a start leaves behind. */
async function expectWhole(run: string) {
  const [own, whole] = [run, 'whole'].map((each) => join(folder, each, 'members', 'one'));
  const files = ['checkpoints', 'probabilities'].map(async (part) =>
    (await readdir(join(whole!, part))).map((name) => join(part, name)),
  );
  for (const file of [...(await Promise.all(files)).flat(), 'done.json'])
    expect([file, (await readFile(join(own!, file))).equals(await readFile(join(whole!, file)))]).toEqual([file, true]); // prettier-ignore
  const left = (await readdir(own!, { recursive: true })).filter((name) => /(^|\/)\./.test(name));
  expect(left).toEqual([]);
  expect(existsSync(join(own!, 'checkpoints', 'previous.safetensors'))).toBe(false);
}

test('SIGUSR2 keeps a checkpoint and requeues the array task; the next start continues to the same bytes', async () => {
  await newRun('requeued');
  const first = start('requeued', array);
  await first.until('epoch 3/16');
  first.child.kill('SIGUSR2');
  expect(await first.ended).toEqual([130, null]);
  expect(first.output).toContain('Job 12_3 is started again when its turn comes.');
  expect(await calls('requeued')).toBe('[requeue][12_3]');
  const second = start('requeued', { ...array, SLURM_RESTART_COUNT: '1' });
  expect(await second.ended).toEqual([0, null]);
  expect(second.output).toMatch(/resumed from its checkpoint after epoch ([3-9]|1\d) of 16/);
  await expectWhole('requeued');
  expect(await calls('requeued')).toBe('[requeue][12_3]');
  // A start of a member that is done ends at once.
  const third = start('requeued', array);
  expect(await third.ended).toEqual([0, null]);
  expect(third.output).not.toContain('started on');
});

test('SIGUSR2 at the very beginning requeues the job; without an array its own id is given', async () => {
  await newRun('early');
  const { child, ended } = start('early', { SLURM_JOB_ID: '15' });
  const isCaught = async () => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
    return (BigInt(`0x${/^SigCgt:\s*(\w+)$/m.exec(status)?.[1] ?? '0'}`) & (1n << 11n)) !== 0n;
  };
  while (!(await isCaught())) await sleep(1);
  child.kill('SIGUSR2');
  expect(await ended).toEqual([130, null]);
  expect(await calls('early')).toBe('[requeue][15]');
});

test('SIGTERM stops the job without requeueing it', async () => {
  await newRun('cancelled');
  const { child, until, ended } = start('cancelled', array);
  await until('epoch 3/16');
  child.kill('SIGTERM');
  expect(await ended).toEqual([130, null]);
  expect(await calls('cancelled')).toBe('');
  expect(existsSync(join(folder, 'cancelled', 'members', 'one', '.claim'))).toBe(false);
});

test('outside of a job SIGUSR2 stops the member, and there is nothing to requeue', async () => {
  await newRun('alone');
  const { child, ended, until } = start('alone');
  await until('started on');
  child.kill('SIGUSR2');
  expect(await ended).toEqual([130, null]);
  expect(await calls('alone')).toBe('');
});

test.each(['thread', 'process'])(
  'a copy in a %s that sleeps while a newer one takes over leaves with 0, and the bytes are those of one',
  async (isolation) => {
    const run = `two-${isolation}`;
    await newRun(run);
    const args = ['--isolation', isolation];
    const older = start(run, array, args);
    await older.until('epoch 3/16');
    older.child.kill('SIGSTOP');
    if (isolation === 'process') process.kill(await processOf(run), 'SIGSTOP');
    const newer = start(run, { ...array, SLURM_RESTART_COUNT: '1' }, args);
    await newer.until('resumed from');
    older.child.kill('SIGCONT');
    expect(await older.ended).toEqual([0, null]);
    expect(older.output).toMatch(
      new RegExp(`A newer start owns one, and this older one leaves: .* to process ${newer.child.pid} on `),
    );
    expect(await newer.ended).toEqual([0, null]);
    await expectWhole(run);
    expect(await calls(run)).toBe('');
  },
);

test('a copy that never slept leaves, too', async () => {
  await newRun('both');
  const older = start('both', array);
  await older.until('started on');
  const newer = start('both', { ...array, SLURM_RESTART_COUNT: '1' });
  expect(await older.ended).toEqual([0, null]);
  expect(await newer.ended).toEqual([0, null]);
  await expectWhole('both');
});

test('after --max-idle-starts starts without progress the member has failed and is not requeued', async () => {
  await newRun('idle');
  for (let i = 0; i < 2; i++) {
    const { child, ended, until } = start('idle', array, ['--max-idle-starts', '2']);
    await until('started on');
    child.kill('SIGKILL');
    await ended;
  }
  const last = start('idle', array, ['--max-idle-starts', '2']);
  expect(await last.ended).toEqual([1, null]);
  expect(last.output).toContain('2 starts in a row found no checkpoint');
  expect(await calls('idle')).toBe('');
});
