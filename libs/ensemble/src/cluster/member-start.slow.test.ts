// Two copies of a member at the same time, each in a process of its own, with the fake worker: which of them writes.
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeJson } from '@ct-ensemble/core';
import { memberFolder, planFile } from '../run-folder.ts';
import { planOf, temporaryRun } from '../testing.fixture.ts';
import { readStarts } from './starts.ts';

const program = fileURLToPath(new URL('../../fixtures/start-member.mjs', import.meta.url));

async function runOf(...members: string[]) {
  const run = await temporaryRun();
  await writeJson(planFile(run), planOf(members));
  return run;
}

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A start in a process of its own. */
function startProcess(...args: string[]) {
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  children.push(child);
  let output = '';
  const waiting = new Set<() => void>();
  child.stdout.on('data', (piece: Buffer) => {
    output += piece.toString();
    for (const check of waiting) check();
  });
  const printed = (text: string) =>
    new Promise<void>((resolve) => {
      const check = () => {
        if (!output.includes(text)) return;
        waiting.delete(check);
        resolve();
      };
      waiting.add(check);
      check();
    });
  const ended = once(child, 'close').then(([code]) => ({
    code: code as number | null,
    outcome: JSON.parse(output.trim().split('\n').at(-1)!) as Record<string, unknown>,
  }));
  return { child, printed, ended, pid: child.pid! };
}

/** What 40 steps of the fake worker's member `chain` result in. */
function chainOf40() {
  let text = 'start';
  for (let step = 0; step < 40; step++) text = createHash('sha256').update(text).digest('hex');
  return text;
}

const filesOf = async (run: string, member: string) =>
  (await readdir(memberFolder(run, member), { recursive: true })).sort();

test.each(['thread', 'process'])(
  'of two copies in a %s the newer one writes; the bytes are those of one',
  async (isolation) => {
    const run = await runOf('chain-waits');
    const older = startProcess(run, 'chain-waits', isolation);
    await older.printed('"epoch":5');
    const newer = startProcess(run, 'chain-waits', isolation);
    await newer.printed('"started"');
    await writeFile(join(run, 'go'), '');
    const [first, second] = [await older.ended, await newer.ended];
    expect(first).toMatchObject({ code: 0, outcome: { status: 'superseded' } });
    expect(first.outcome['reason']).toMatch(new RegExp(`to process ${newer.pid} on `));
    expect(second).toMatchObject({ code: 0, outcome: { status: 'done' } });
    expect(await readFile(join(memberFolder(run, 'chain-waits'), 'result'), 'utf8')).toBe(chainOf40());
    expect(
      (await filesOf(run, 'chain-waits')).filter((name) => name.includes('/.') || name.startsWith('.')),
    ).toEqual([]);
  },
);

test('a copy that is suspended across the take-over writes nothing when it wakes', async () => {
  const run = await runOf('chain-waits');
  const older = startProcess(run, 'chain-waits', 'thread');
  await older.printed('"epoch":5');
  process.kill(older.pid, 'SIGSTOP');
  const newer = startProcess(run, 'chain-waits', 'thread');
  await newer.printed('"started"');
  await writeFile(join(run, 'go'), '');
  await newer.printed('"epoch":20');
  process.kill(older.pid, 'SIGCONT');
  expect((await older.ended).outcome).toMatchObject({ status: 'superseded' });
  expect((await newer.ended).outcome).toMatchObject({ status: 'done' });
  expect(await readFile(join(memberFolder(run, 'chain-waits'), 'result'), 'utf8')).toBe(chainOf40());
});

test('a start of an earlier submission leaves a member to the later one, though it starts last', async () => {
  const run = await runOf('chain-waits');
  const later = startProcess(run, 'chain-waits', 'thread', '13');
  await later.printed('"epoch":5');
  const earlier = startProcess(run, 'chain-waits', 'thread', '12');
  expect((await earlier.ended).outcome).toMatchObject({
    status: 'superseded',
    reason: expect.stringContaining(`process ${later.pid} on `) as string,
  });
  await writeFile(join(run, 'go'), '');
  expect((await later.ended).outcome).toMatchObject({ status: 'done' });
  expect(await readStarts(run, 'chain-waits')).toHaveLength(1);
});
