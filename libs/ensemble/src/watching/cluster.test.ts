// The state of a run on a cluster: what the queue says, joined with the files of the run.
import { rm } from 'node:fs/promises';
import { claimFolder, writeJson } from '@ct-ensemble/core';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { realpath } from 'node:fs/promises';
import { basename } from 'node:path';
import type { QueuedTask } from '../cluster/queue.ts';
import { memberFolder, planFile } from '../run-folder.ts';
import { clusterReader } from './cluster.ts';
import { madeRun } from './run.fixture.ts';
import { runReader } from './status.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

/** A run whose members were submitted as job 12, with this queue. */
async function submittedRun(tasks: Partial<QueuedTask>[]) {
  const made = await madeRun(names);
  const path = await realpath(made.run);
  const prefix = `ct-${basename(path)}-${createHash('sha256').update(path).digest('hex').slice(0, 6)}-`;
  const record = (number: number, fields: object) =>
    writeJson(join(made.run, 'slurm', `00${number}.json`), {
      version: 1,
      number,
      jobName: `${prefix}00${number}`,
      script: `slurm/00${number}.sh`,
      purpose: '',
      createdAt: new Date().toISOString(),
      submittedAt: new Date().toISOString(),
      planned: {
        recipe: 'tiny',
        epochs: 2,
        devices: ['cpu:1'],
        members: names.map((name, i) => ({ name, architecture: 'densenet_small', seed: i + 1 })),
      },
      ...fields,
    });
  await record(1, { kind: 'prepare', jobId: '11', members: [] });
  await record(2, { kind: 'members', jobId: '12', members: names });
  const asked: string[][] = [];
  let now = 0;
  const queue = {
    async list(jobNames: readonly string[]) {
      asked.push([...jobNames]);
      return tasks.map((task): QueuedTask => ({
        jobId: '12',
        index: null,
        state: 'PENDING',
        reason: 'None',
        nodes: '',
        jobName: `${prefix}00${task.jobId === '11' ? 1 : 2}`,
        ...task,
      }));
    },
  };
  const cluster = clusterReader(made.run, { queue, now: () => now });
  return {
    ...made,
    record,
    asked,
    reader: runReader(made.run, { cluster }),
    pass: (seconds: number) => (now += seconds),
  };
}

test('queue and files are joined; done.json is the truth', async () => {
  const { run, reader, progress, history, done, failed } = await submittedRun([
    { index: 0, state: 'TIMEOUT' }, // done all the same
    { index: 1, state: 'RUNNING', nodes: 'n1' },
    { index: 2, state: 'PENDING', reason: 'Priority' },
    { index: 3, state: 'FAILED' },
    { index: 4, state: 'NODE_FAIL' },
    { index: 5, state: 'RUNNING', nodes: 'n2' },
    { index: 6, state: 'PENDING', reason: 'BeginTime' },
  ]);
  await done('a');
  const b = await claimFolder(memberFolder(run, 'b'));
  await progress('b', { epoch: 1, secondsLeft: 15 });
  await progress('d', { state: 'failed' });
  await failed('d', { reason: 'no memory' });
  await history('e', [0.5]);
  await progress('e', { epoch: 2 });
  // An older copy, cut from the network, trains on while the queue has the member waiting.
  const g = await claimFolder(memberFolder(run, 'g'));
  await progress('g', { epoch: 1 });
  const status = await reader.status();
  expect(status.members.map(({ name, state, message }) => [name, state, message])).toEqual([
    ['a', 'done', null],
    ['b', 'training', null],
    ['c', 'waiting', 'queued as job 12_2: Priority (it waits for its turn)'],
    ['d', 'failed', 'no memory'],
    [
      'e',
      'interrupted',
      'its job 12_4 has ended (NODE_FAIL) after epoch 1; the same command submits it again',
    ],
    ['f', 'starting', 'job 12_5 has started on n2'],
    ['g', 'training', null],
  ]);
  expect(status).toMatchObject({ state: 'running', problems: [], coordinator: null });
  expect(status.jobs).toHaveLength(7);
  for (const claim of [b, g]) await claim.release();
});

test('progress of an earlier start is not that of the present one', async () => {
  const { run, reader, progress } = await submittedRun([{ index: 0, state: 'RUNNING', nodes: 'n1' }]);
  await progress('a', { updatedAt: new Date(Date.now() - 60_000).toISOString() });
  const claim = await claimFolder(memberFolder(run, 'a'));
  expect((await reader.status()).members[0]!.state).toBe('starting');
  await claim.release();
});

test.each([
  [{ index: 0, state: 'PENDING', reason: 'Dependency' }, 'queued'],
  [{ jobId: '11', state: 'RUNNING', nodes: 'n1' }, 'busy'],
  [{ index: 0, state: 'CANCELLED' }, 'interrupted'],
])('the state of the whole run with %j is %s', async (task, state) => {
  const { reader, history } = await submittedRun([task]);
  await history('a', [0.5]);
  expect((await reader.status()).state).toBe(state);
});

test('members that were stopped: the run is stopped', async () => {
  const { reader, progress } = await submittedRun([{ index: 0, state: 'CANCELLED' }]);
  await progress('a', { state: 'stopped' });
  const status = await reader.status();
  expect(status.members[0]!.state).toBe('stopped');
  expect(status.state).toBe('stopped');
});

test('a run that is not prepared yet has a state, too', async () => {
  const { run, reader } = await submittedRun([
    { jobId: '11', state: 'PENDING', reason: 'Resources' },
    ...names.map((_, index) => ({ index, state: 'PENDING', reason: 'Dependency' })),
  ]);
  await rm(planFile(run));
  const status = await reader.status();
  expect(status).toMatchObject({ recipe: 'tiny', state: 'queued', missing: names });
  expect(status.members[0]).toMatchObject({ state: 'waiting', epochs: 2, architecture: 'densenet_small' });
});

test('a preparation that failed is a problem, and so is a run that nobody prepares', async () => {
  const { run, reader } = await submittedRun([
    { jobId: '11', state: 'FAILED', reason: 'NonZeroExitCode' },
    { index: 0, state: 'CANCELLED' },
  ]);
  await rm(planFile(run));
  const { problems, state } = await reader.status();
  expect(state).toBe('not-started');
  expect(problems).toEqual([
    'the preparation, job 11, ended as FAILED: trainer:logs --job preparation shows why',
    expect.stringMatching(/^the run is not prepared, and no job prepares it/),
  ]);
});

test('a reason that never ends is a problem', async () => {
  const { reader } = await submittedRun([
    { index: 0, reason: 'PartitionTimeLimit' },
    { index: 1, reason: 'PartitionTimeLimit' },
    { index: 2, reason: 'Priority' },
    { index: 3, reason: 'JobHeldUser' },
  ]);
  const { problems } = await reader.status();
  expect(problems).toEqual([
    expect.stringMatching(
      /^2 tasks of job 12 wait in the queue for the reason PartitionTimeLimit: .* a smaller --time$/,
    ),
    expect.stringMatching(
      /^job 12_3 waits in the queue for the reason JobHeldUser: it is held: scontrol release/,
    ),
  ]);
});

test('the queue is asked at most every ten seconds, and about ended jobs never again', async () => {
  const { reader, asked, pass, record } = await submittedRun([{ index: 0, state: 'RUNNING', nodes: 'n1' }]);
  for (const seconds of [0, 2, 7]) {
    pass(seconds);
    await reader.status();
  }
  expect(asked).toHaveLength(1);
  pass(1);
  await reader.status();
  expect(asked).toHaveLength(2);
  // A new submission is seen at once.
  await record(1, { kind: 'prepare', jobId: '11', members: [], endedAt: new Date().toISOString() });
  await reader.status();
  expect(asked).toHaveLength(3);
  expect(asked[2]).toEqual([asked[0]![1]]);
});

test('without Slurm on this machine the files still say how the run is', async () => {
  const { run, progress } = await submittedRun([]);
  const claim = await claimFolder(memberFolder(run, 'a'));
  await progress('a', { epoch: 1 });
  const queue = {
    list: async () => {
      throw new Error('squeue is not here');
    },
  };
  const status = await runReader(run, { cluster: clusterReader(run, { queue }) }).status();
  expect(status.problems).toEqual(['the state of the jobs is not known: squeue is not here']);
  expect(status.members[0]!.state).toBe('training');
  expect(status.state).toBe('running');
  await claim.release();
});
