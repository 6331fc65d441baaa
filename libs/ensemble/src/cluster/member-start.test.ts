// Starts of a member: what they find, what they refuse, and when one is given up.
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { claimFolder, claimHolder, writeJson } from '@ct-ensemble/core';
import type { Device } from '@ct-ensemble/engine';
import { writeProbabilities } from '../results/probabilities.ts';
import {
  claimRun,
  coordinatorFile,
  doneFile,
  failedFile,
  memberFolder,
  planFile,
  probabilitiesFile,
  startsFile,
  writeScans,
} from '../run-folder.ts';
import { readFailed } from '../run-status.ts';
import { planOf, scan, temporaryRun } from '../testing.fixture.ts';
import { clusterJob } from './job.ts';
import { startMember, type StartMemberOptions } from './member-start.ts';
import { idleStarts, type MemberStart, readStarts } from './starts.ts';

const worker = fileURLToPath(new URL('../../fixtures/fake-worker.mjs', import.meta.url));
const device: Device = { kind: 'cpu', index: 0, threads: 1 };

async function runOf(...members: string[]) {
  const run = await temporaryRun();
  await writeJson(planFile(run), planOf(members));
  return run;
}

async function start(run: string, member: string, options: Partial<StartMemberOptions> = {}) {
  const plan = planOf([member, 'other']);
  return startMember({ run, plan, member, devices: [device], store: run, worker, ...options });
}

const filesOf = async (run: string, member: string) =>
  (await readdir(memberFolder(run, member), { recursive: true })).sort();

test('a start trains its member alone, and writes neither the plan nor coordinator.json', async () => {
  const run = await runOf('one', 'other');
  const before = await readFile(planFile(run));
  const job = { name: '12_3', restarts: 2, order: [12, 2] as const };
  expect(await start(run, 'one', { job })).toMatchObject({ member: 'one', status: 'done', attempts: 1 });
  expect(await readFile(planFile(run))).toEqual(before);
  expect(existsSync(coordinatorFile(run))).toBe(false);
  expect(await filesOf(run, 'one')).toEqual(['log.txt', 'progress.json', 'starts.jsonl']);
  expect(existsSync(memberFolder(run, 'other'))).toBe(false);
  const progress = JSON.parse(
    await readFile(join(memberFolder(run, 'one'), 'progress.json'), 'utf8'),
  ) as object;
  expect(progress).toMatchObject({ state: 'done', job: '12_3' });
  expect(await readStarts(run, 'one')).toMatchObject([
    { job: '12_3', restart: 2, checkpoint: null, afterFailure: false },
  ]);
});

test('a member that fails has failed.json', async () => {
  const run = await runOf('fails');
  const outcome = await start(run, 'fails', { retry: { waits: [] } });
  expect(outcome).toMatchObject({ status: 'failed', attempts: 1, reason: 'fails cannot go on' });
  expect(await readFailed(run, 'fails')).toMatchObject({ reason: 'fails cannot go on', kind: 'exception' });
});

test('a member whose folder cannot be used before its training has failed.json, too', async () => {
  const run = await runOf('one', 'other');
  await mkdir(memberFolder(run, 'one'), { recursive: true });
  await writeFile(join(memberFolder(run, 'one'), 'checkpoints'), 'not a folder');
  const outcome = await start(run, 'one');
  expect(outcome).toMatchObject({
    status: 'failed',
    reason: expect.stringContaining('a part of the path is a file'),
  });
  expect(await readFailed(run, 'one')).toMatchObject({ kind: 'user' });
});

test('a member that is done and has its probabilities is left as it is, whoever owns it', async () => {
  const run = await runOf('one', 'other');
  const scans = [scan('train/a', 0), scan('val/b', 1), scan('test/c', null)];
  await writeScans(run, [{ members: ['one', 'other'], scans }]);
  await writeJson(doneFile(run, 'one'), {
    epochs: 2,
    bestEpoch: 1,
    macroF1: 0.75,
    weights: 'w',
    sha256: 'x',
  });
  const classes = planOf(['one']).dataset.classes;
  for (const [split, key, label] of [
    ['val', 'val/b', 1],
    ['test', 'test/c', null],
  ] as const)
    // prettier-ignore
    await writeProbabilities(probabilitiesFile(run, 'one', split), {
      split,
      classes,
      scans: [{ key, name: key.slice(-1), label }],
      rows: [[0.5, 0.5]],
      failed: [],
    });
  const claim = await claimFolder(memberFolder(run, 'one'));
  const before = await filesOf(run, 'one');
  expect(await start(run, 'one')).toEqual({
    member: 'one',
    status: 'done',
    macroF1: 0.75,
    attempts: 0,
    notes: [],
  });
  expect(await filesOf(run, 'one')).toEqual(before);
  await claim.release();
});

test('an unknown member is refused with the nearest name', async () => {
  const run = await runOf('one');
  await expect(start(run, 'one', { plan: planOf(['ones']) })).rejects.toThrow(
    'the run has no member "one" (did you mean "ones"?) → name one of its members with --member: ones',
  );
});

test('a start while a coordinator works in the run is refused, and leaves the member alone', async () => {
  const run = await runOf('one', 'other');
  const claim = await claimRun(run);
  await expect(start(run, 'one')).rejects.toThrow(
    new RegExp(`another command is at work in this run: process ${process.pid} on .* → wait until it ends`),
  );
  expect(existsSync(memberFolder(run, 'one'))).toBe(false);
  await claim.release();
});

test('a coordinator is refused while a job trains a member; the claim of a job that has died is removed', async () => {
  const run = await runOf('one', 'other');
  const claim = await claimFolder(memberFolder(run, 'one'));
  await expect(claimRun(run)).rejects.toThrow(
    new RegExp(
      `jobs of a cluster train members of this run: one \\(process ${process.pid} on .*\\) → .*trainer:stop -- --run`,
    ),
  );
  expect(await claimHolder(run)).toBe(undefined);
  expect(await claim.isHeld()).toBe(true);
  await claim.release();
  const record = { host: 'h', bootId: null, pidNamespace: null, pid: 1, startTime: null, nonce: 'a'.repeat(32), claimedAt: '', command: '', lease: 1e-9 }; // prettier-ignore
  await writeJson(claim.file, record);
  await (await claimRun(run)).release();
  expect(existsSync(claim.file)).toBe(false);
});

test('after three starts that found the same checkpoint the member has failed; then it counts anew', async () => {
  const run = await runOf('chain');
  for (let i = 0; i < 3; i++) expect(await startAndStop(run)).toBe('stopped');
  expect(await start(run, 'chain')).toMatchObject({ status: 'failed', attempts: 0 });
  const { reason } = (await readFailed(run, 'chain'))!;
  expect(reason).toMatch(
    /^3 starts in a row found no checkpoint and ended without a later one → .*--time.*--checkpoint-minutes/,
  );
  expect(await readFile(join(memberFolder(run, 'chain'), 'log.txt'), 'utf8')).toContain(reason);
  // The user has read it and starts the member again.
  expect(await start(run, 'chain')).toMatchObject({ status: 'done' });
  expect((await readStarts(run, 'chain')).map(({ afterFailure }) => afterFailure)).toEqual([
    false,
    false,
    false,
    false,
    true,
  ]);
  expect(existsSync(startsFile(run, 'chain'))).toBe(true);
  expect(existsSync(failedFile(run, 'chain'))).toBe(true); // The fake worker does not remove it.
});

/** A start that is stopped before its first step. */
async function startAndStop(run: string) {
  const stopping = new AbortController();
  const outcome = await start(run, 'chain', {
    signal: stopping.signal,
    onEvent: ({ kind }) => kind === 'started' && stopping.abort(),
  });
  return outcome.status;
}

const startAt = (checkpoint: MemberStart['checkpoint'], afterFailure = false): MemberStart => ({
  time: '',
  host: 'h',
  job: null,
  restart: 0,
  checkpoint,
  afterFailure,
});

test.each([
  [[], 0],
  [[null], 0],
  [[null, null, null], 2],
  [[null, { epoch: 1, step: 0 }, { epoch: 1, step: 0 }], 1],
  [
    [
      { epoch: 1, step: 0 },
      { epoch: 1, step: 2 },
    ],
    0,
  ],
  [[{ epoch: 1, step: 2 }, null, { epoch: 1, step: 2 }], 0],
])('starts that found %j: the last %i before the present one made no progress', (places, idle) => {
  expect(idleStarts(places.map((place) => startAt(place)))).toBe(idle);
});

test('starts before a failure do not count', () => {
  expect(idleStarts([startAt(null), startAt(null), startAt(null, true), startAt(null)])).toBe(1);
  expect(idleStarts([startAt(null), startAt(null, true)])).toBe(0);
});

test('damaged lines of starts.jsonl are left out', async () => {
  const run = await runOf('one');
  await mkdir(memberFolder(run, 'one'), { recursive: true });
  await writeFile(startsFile(run, 'one'), `${JSON.stringify(startAt(null))}\n{ "time":\n`);
  expect(await readStarts(run, 'one')).toEqual([startAt(null)]);
});

test("the job's name is that of the array task, never the bare id of a task", () => {
  const variables = { SLURM_JOB_ID: '15', SLURM_ARRAY_JOB_ID: '12', SLURM_ARRAY_TASK_ID: '3' };
  expect(clusterJob(variables)).toEqual({ name: '12_3', restarts: 0, order: [12, 0] });
  expect(clusterJob({ ...variables, SLURM_RESTART_COUNT: '2' })).toMatchObject({
    restarts: 2,
    order: [12, 2],
  });
  expect(clusterJob({ SLURM_JOB_ID: '15' })).toEqual({ name: '15', restarts: 0, order: [15, 0] });
  expect(clusterJob({})).toBe(undefined);
});

test('micro-batches that memory asked for at an earlier start are used again', async () => {
  const run = await runOf('small');
  await writeJson(join(memberFolder(run, 'small'), 'config.json'), {
    member: { device: 'cpu:1' },
    engine: 'e',
    node: 'n',
    training: { accumulate: 4 },
  });
  // With fewer than four the fake worker's memory is too small.
  expect(await start(run, 'small')).toMatchObject({ status: 'done', attempts: 1 });
});
