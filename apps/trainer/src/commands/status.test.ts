// The commands status and dashboard on a run whose files were written by hand.
import { claimFolder } from '@ct-ensemble/core';
import type { RunStatus } from '@ct-ensemble/ensemble';
import { madeRun } from '../testing/made-run.ts';
import { runCommand } from '../testing/run-command.ts';

async function interruptedRun() {
  const made = await madeRun(['one', 'two', 'three']);
  await made.history('one', [0.5, 0.25, 0.2, 0.1]);
  await made.file(
    'one',
    'done.json',
    JSON.stringify({ epochs: 4, bestEpoch: 4, macroF1: 0.9, weights: 'w' }),
  );
  await made.history('two', [0.5]);
  await made.progress('two', { epoch: 2 });
  await made.coordinator({ devices: [{ name: 'cpu:1', members: ['two'] }], waiting: ['three'] });
  return made;
}

test('a table of an interrupted run', async () => {
  const { run } = await interruptedRun();
  const { code, output } = await runCommand(run, ['status', '--run', run]);
  expect(code).toBe(0);
  const lines = output.trimEnd().split('\n');
  expect(lines[0]).toBe('tiny: 1 of 3 members done · 41 % · 1 interrupted, 1 not started');
  expect(lines[1]).toMatch(
    /: process \d+ on .* has ended without finishing; the same trainer:all-members command/,
  );
  expect(lines.slice(2)).toEqual([
    '  member  state        epoch    loss  macro F1    best  device',
    '✔ one     done           4/4  0.1000    0.9000  0.9000',
    '! two     interrupted    1/4  0.5000    0.5000  0.5000  cpu:1',
    '○ three   not started    0/4',
  ]);
});

test('JSON, whose numbers and names are the same', async () => {
  const { run } = await interruptedRun();
  const { code, output } = await runCommand(run, ['status', '--run', run, '--json']);
  expect(code).toBe(0);
  const status = JSON.parse(output) as RunStatus;
  expect(status).toMatchObject({ run, state: 'interrupted', missing: ['two', 'three'], secondsLeft: null });
  expect(status.members.map(({ name, state, epoch }) => [name, state, epoch])).toEqual([
    ['one', 'done', 4],
    ['two', 'interrupted', 1],
    ['three', 'not-started', 0],
  ]);
});

test('--watch ends with the run; with --json every state is one line', async () => {
  const { run, coordinator } = await interruptedRun();
  expect((await runCommand(run, ['status', '--run', run, '--watch'])).output).toMatch(/1 interrupted/);
  const claim = await claimFolder(run);
  await coordinator({ waiting: ['two', 'three'] });
  setTimeout(() => void coordinator({ state: 'stopped' }).then(() => claim.release()), 500);
  const { code, output } = await runCommand(run, ['status', '--run', run, '--watch', '--json']);
  expect(code).toBe(0);
  const states = output
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as RunStatus).state);
  expect(states).toEqual(['running', 'stopped']);
});

test.each([['status'], ['dashboard']])('%s of a folder without a run: one clear error', async (command) => {
  const { code, output } = await runCommand('/', [command, '--run', 'nowhere']);
  expect(code).toBe(1);
  expect(output).toMatch(/^error: nowhere: there is no run here: plan\.json is missing → /);
  expect(output.trimEnd().split('\n')).toHaveLength(1);
});

test.each(['x', '-1', '65536', '1.5'])('the port %s is refused', async (port) => {
  const { code, output } = await runCommand('/', ['dashboard', '--run', 'r', '--port', port]);
  expect(code).toBe(1);
  expect(output).toMatch(/It must be (a whole number|at most 65535)/);
});
