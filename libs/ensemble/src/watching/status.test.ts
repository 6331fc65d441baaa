// The state of runs from folders written by hand: live, finished, dead, stopped, of earlier versions, damaged.
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { claimFolder, UserError } from '@ct-ensemble/core';
import { logFile, progressFile } from '../run-folder.ts';
import { appendLog } from '../run-status.ts';
import { temporaryRun } from '../testing.fixture.ts';
import { madeRun } from './run.fixture.ts';
import { readLogTail, runReader, runStatus } from './status.ts';

const statesOf = async (run: string) =>
  Object.fromEntries((await runStatus(run)).members.map(({ name, state }) => [name, state]));

/** Six members: at work, about to be, waiting, to be retried, failed, done; under a live claim of this process. */
async function liveRun() {
  const made = await madeRun(['one', 'two', 'three', 'four', 'five', 'six']);
  const claim = await claimFolder(made.run);
  await made.history('one', [0.6]);
  await made.history('six', [0.6, 0.1]);
  await made.coordinator({
    devices: [
      { name: 'cpu:1', members: ['one'] },
      { name: 'cpu:1', members: ['two'] },
    ],
    waiting: ['three', 'four'],
  });
  await made.progress('one', { epoch: 2, secondsLeft: 5 });
  await made.progress('four', { state: 'waiting-to-retry', attempt: 2, message: 'out of memory' });
  await made.failed('five', { reason: 'scan_3: cannot be read' });
  await made.done('six');
  return { ...made, claim };
}

test('a live run: every member has its state, numbers and message', async () => {
  const { run, claim } = await liveRun();
  const status = await runStatus(run);
  await claim.release();
  expect(status).toMatchObject({ state: 'running', recipe: 'tiny', samplesPerSecond: 4, problems: [] });
  expect(status.coordinator).toMatchObject({ pid: process.pid, isolation: 'thread' });
  const [one, two, three, four, five, six] = status.members;
  expect(one).toMatchObject({
    state: 'training',
    epoch: 2,
    epochs: 2,
    step: 5,
    loss: 0.7,
    macroF1: 0.4,
    best: 0.4,
  });
  expect(one).toMatchObject({ finished: 0.75, samplesPerSecond: 4, device: 'cpu:1', seed: 1, bestEpoch: 1 });
  expect(two).toMatchObject({ state: 'starting', epoch: 0, finished: 0, loss: null });
  expect(three).toMatchObject({ state: 'waiting', attempt: null, device: null });
  expect(four).toMatchObject({ state: 'waiting-to-retry', attempt: 2, message: 'out of memory' });
  expect(five).toMatchObject({ state: 'failed', message: 'scan_3: cannot be read' });
  expect(six).toMatchObject({
    state: 'done',
    epoch: 2,
    best: 0.9,
    bestEpoch: 2,
    finished: 1,
    secondsLeft: null,
  });
  expect(status.counts).toMatchObject({ done: 1, training: 1, starting: 1, waiting: 1, failed: 1 });
  expect(status.missing).toEqual(['one', 'two', 'three', 'four', 'five']);
  // (0.75 + 1) of 6 members; 10 s an epoch: one ends in 5 s and two in 20 s, then three (20 s) after one, four after two.
  expect(status.finished).toBeCloseTo(1.75 / 6, 12);
  expect(status.secondsLeft).toBeCloseTo(40, 12);
});

test('the same files without a live coordinator: members that were at work are interrupted, not training', async () => {
  const { run, claim } = await liveRun();
  await claim.release();
  const status = await runStatus(run);
  expect(status).toMatchObject({ state: 'interrupted', secondsLeft: null, samplesPerSecond: null });
  expect(await statesOf(run)).toEqual({
    one: 'interrupted',
    two: 'not-started',
    three: 'not-started',
    four: 'interrupted',
    five: 'failed',
    six: 'done',
  });
  expect(status.members[0]!.message).toMatch(/ended after epoch 1; the same command continues it/);
  expect(status.members[0]).toMatchObject({ epoch: 1, step: null, loss: 0.6, finished: 0.5 });
  expect(status.devices.flatMap(({ members }) => members)).toEqual([]);
});

test('a claim of a dead process does not make the run live', async () => {
  const { run, claim } = await liveRun();
  const record = JSON.parse(await readFile(join(run, '.claim'), 'utf8')) as object;
  await claim.release();
  // The pid lives, but this process began at another time: the pid was used again.
  await writeFile(join(run, '.claim'), JSON.stringify({ ...record, startTime: '1' }));
  expect((await runStatus(run)).state).toBe('interrupted');
});

test('the coordinator of an earlier start says nothing about another command that holds the claim now', async () => {
  const made = await madeRun(['one']);
  await made.coordinator({ pid: 1, devices: [{ name: 'cpu:1', members: ['one'] }] });
  await made.progress('one', { pid: 1 });
  const claim = await claimFolder(made.run);
  expect(await runStatus(made.run)).toMatchObject({ state: 'busy' });
  expect(await statesOf(made.run)).toEqual({ one: 'interrupted' });
  await claim.release();
});

test("progress of an earlier start does not count as the present coordinator's", async () => {
  const made = await madeRun(['one', 'two']);
  const claim = await claimFolder(made.run);
  const longAgo = new Date(Date.now() - 3_600_000).toISOString();
  await made.progress('one', { updatedAt: longAgo });
  await made.progress('two', { state: 'stopped', updatedAt: longAgo });
  await made.coordinator({ devices: [{ name: 'cpu:1', members: ['one'] }], waiting: ['two'] });
  expect(await statesOf(made.run)).toEqual({ one: 'starting', two: 'waiting' });
  await claim.release();
});

test('a member that is done and predicts missing probabilities is at work', async () => {
  const made = await madeRun(['one']);
  const claim = await claimFolder(made.run);
  await made.done('one');
  await made.progress('one', { state: 'predicting' });
  await made.coordinator({ devices: [{ name: 'cpu:1', members: ['one'] }] });
  expect(await runStatus(made.run)).toMatchObject({ state: 'running', secondsLeft: 0, finished: 1 });
  expect(await statesOf(made.run)).toEqual({ one: 'predicting' });
  await claim.release();
});

test('a stopped run, and one that ended with a failure', async () => {
  const made = await madeRun(['one', 'two']);
  await made.done('one');
  await made.progress('two', { state: 'stopped' });
  await made.coordinator({ state: 'stopped' });
  expect(await runStatus(made.run)).toMatchObject({ state: 'stopped', missing: ['two'] });
  await made.coordinator({ state: 'ended' });
  await made.failed('two', { reason: 'killed by SIGSEGV', kind: 'signal', attempt: 3, signal: 'SIGSEGV' });
  expect(await runStatus(made.run)).toMatchObject({ state: 'ended', missing: ['two'] });
  expect(await statesOf(made.run)).toEqual({ one: 'done', two: 'failed' });
});

test('runs of earlier versions have no progress.json and no coordinator.json', async () => {
  const made = await madeRun(['one', 'two', 'three']);
  expect(await runStatus(made.run)).toMatchObject({ state: 'not-started', coordinator: null });
  await made.history('one', [0.5, 0.2]);
  await made.done('one');
  await made.history('two', [0.5]);
  await made.failed('three', { reason: 'an old failure' });
  const status = await runStatus(made.run);
  expect(status).toMatchObject({ state: 'interrupted', missing: ['two', 'three'] });
  expect(status.members.map(({ state }) => state)).toEqual(['done', 'interrupted', 'failed']);
  await made.done('two');
  await made.done('three');
  expect(await runStatus(made.run)).toMatchObject({ state: 'ended', missing: [], finished: 1 });
});

test('a damaged file is reported and hides nothing else', async () => {
  const { run, claim } = await liveRun();
  await writeFile(progressFile(run, 'one'), '{"version":1,');
  const status = await runStatus(run);
  await claim.release();
  expect(status.problems).toEqual([expect.stringMatching(/one.progress\.json: is not JSON/)]);
  expect(status.members.map(({ state }) => state)).toEqual([
    'starting',
    'starting',
    'waiting',
    'waiting-to-retry',
    'failed',
    'done',
  ]);
});

test('without a plan there is no run', async () => {
  await expect(runStatus(await temporaryRun())).rejects.toThrow(UserError);
});

test('a history is read again only after it has changed, and an incomplete last line is left out', async () => {
  const made = await madeRun(['one']);
  const reader = runReader(made.run);
  expect(await reader.history('one')).toEqual({ stamp: '', epochs: [] });
  await made.history('one', [0.5]);
  const first = await reader.history('one');
  expect(first.epochs).toMatchObject([{ epoch: 0, loss: 0.5, macroF1: 0.5, seconds: 10 }]);
  expect((await reader.history('one')).epochs).toBe(first.epochs);
  const file = join(made.run, 'members', 'one', 'history.jsonl');
  await writeFile(`${file}.new`, '{"epoch":0,"learningRate":1,"loss":0.5,"macroF1":null}\n{"epoch":1,"lear');
  await rename(`${file}.new`, file);
  expect((await reader.history('one')).epochs).toEqual([
    { epoch: 0, learningRate: 1, loss: 0.5, macroF1: null, seconds: null },
  ]);
});

test('the last lines of a log, also of a large one', async () => {
  const { run } = await madeRun(['one']);
  expect(await readLogTail(run, { member: 'one' })).toEqual([]);
  await appendLog({ run, member: 'one' }, 'error', 'first\nsecond');
  expect(await readLogTail(run, { member: 'one' })).toEqual([
    expect.stringMatching(/Z error first$/),
    '  second',
  ]);
  await writeFile(logFile(run, 'one'), Array.from({ length: 20000 }, (_, i) => `line ${i}\n`).join(''));
  expect(await readLogTail(run, { member: 'one', lines: 2 })).toEqual(['line 19998', 'line 19999']);
  const most = await readLogTail(run, { member: 'one', lines: 1e6 });
  expect(most[0]).toMatch(/^line \d+$/);
  expect(most.length).toBeLessThan(20000);
  await rm(run, { recursive: true });
});
