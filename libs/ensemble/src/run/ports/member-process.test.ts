import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { ownIdentity, type ProcessIdentity, stateOf, writeJson } from '@ct-ensemble/core';
import { planOf, temporaryRun } from '../../testing.fixture.ts';
import { claimRun } from '../../run-folder.ts';
import { endLeftProcesses } from './member-process.ts';
import type { MemberTask } from './port.ts';

const dist = (file: string) => new URL(`../../../dist/run/ports/${file}`, import.meta.url).href;
const worker = fileURLToPath(new URL('../../../fixtures/fake-worker.mjs', import.meta.url));
const evaluate = (script: string, ...args: string[]) =>
  spawn(process.execPath, ['--input-type=module', '-e', script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });

test('the claim of a run ends a process that a killed coordinator has left, even one that is busy', async () => {
  const folder = await temporaryRun();
  const busy = evaluate(
    `import { enterMember } from ${JSON.stringify(dist('member-process.js'))};
    await enterMember(process.argv[1]);
    process.stdout.write('entered', () => { for (;;); });`,
    join(folder, 'members', 'a'),
  );
  const ended = once(busy, 'exit');
  await once(busy.stdout, 'data');
  const claim = await claimRun(folder);
  expect(await ended).toEqual([null, 'SIGKILL']);
  expect(existsSync(join(folder, 'members', 'a', '.process.json'))).toBe(false);
  await claim.release();
});

test('a process that has the pid of one that has ended is left alone', async () => {
  const folder = await temporaryRun();
  const sleeper = evaluate('setInterval(() => {}, 1000)');
  const note = join(folder, 'a', '.process.json');
  await writeJson(note, { ...(await ownIdentity()), pid: sleeper.pid, startTime: '1' });
  await mkdir(join(folder, 'b'));
  await writeFile(join(folder, 'b', '.process.json'), '{ "host":');
  await endLeftProcesses(folder);
  expect(existsSync(note)).toBe(false);
  expect(sleeper.exitCode ?? sleeper.signalCode).toBe(null);
  sleeper.kill();
});

test('the process of a member ends when its coordinator is killed', async () => {
  const folder = await temporaryRun();
  const plan = planOf(['endless']);
  const device = { kind: 'cpu', index: 0, threads: 1 } as const;
  const task: MemberTask = {
    run: folder,
    plan,
    member: plan.members[0]!,
    device,
    deviceName: 'cpu:1',
    store: folder,
    attempt: 1,
    isolation: 'process',
    worker,
  };
  // In a file: children inherit Node's options, and --input-type suits no child.
  const script = join(folder, 'coordinator.mjs');
  await writeFile(
    script,
    `import { processPort } from ${JSON.stringify(dist('process.js'))};
    const progress = () => console.log('progress');
    await processPort().start(${JSON.stringify(task)}, { progress, note() {} }).result;`,
  );
  const coordinator = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(coordinator.stdout, 'data');
  const note = join(folder, 'members', 'endless', '.process.json');
  const child = JSON.parse(await readFile(note, 'utf8')) as ProcessIdentity;
  expect(await stateOf(child)).toBe('alive');
  coordinator.kill('SIGKILL');
  while ((await stateOf(child)) === 'alive') await sleep(20); // Jest's limit ends the test if it never ends.
});
