import { existsSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { usableMemory, writeJson } from '@ct-ensemble/core';
import { lastCheckpoint } from '@ct-ensemble/training';
import { train } from './coordinator.fixture.ts';
import { asProbabilities } from './member-probabilities.ts';
import { writeProbabilities } from '../results/probabilities.ts';
import { doneFile, logFile, memberFolder, probabilitiesFile, writeScans } from '../run-folder.ts';
import { type Isolation, readCoordinator, readFailed, readProgress } from '../run-status.ts';
import { readPlan } from './plan.ts';
import { planOf, scan, temporaryRun } from '../testing.fixture.ts';

test('trains every member, one at a time on each device, and hands on its progress', async () => {
  let running = 0;
  let most = 0;
  const { outcomes, events } = await train(['a', 'b', 'c', 'd', 'e'], {
    onEvent({ kind }) {
      if (kind === 'started') most = Math.max(most, ++running);
      if (kind === 'done') running--;
    },
  });
  expect(outcomes.map(({ member, status, macroF1 }) => [member, status, macroF1])).toEqual(
    ['a', 'b', 'c', 'd', 'e'].map((name, i) => [name, 'done', (i + 1) / 10]),
  );
  expect(most).toBe(2);
  const epochs = events.flatMap((event) =>
    event.kind === 'progress' && event.member === 'c' ? [event.progress.epoch] : [],
  );
  expect(epochs).toEqual([1, 2, 3]);
  const placed = new Set(events.flatMap((event) => (event.kind === 'progress' ? [event.progress.loss] : [])));
  expect([...placed].sort()).toEqual([0, 1]); // the fake worker reports the index of its device
});

test('starts the members that take longest first, and none beside another if the memory holds only one', async () => {
  const memoryBytes = 0.6 * usableMemory();
  const expected = ['a', 'b', 'c'].map((member, i) => ({
    member,
    architecture: 'densenet_small',
    state: 'new' as const,
    scans: { train: 1, val: 1, test: 1 },
    needs: [{ device: 'cpu:1', seconds: [2, 9, 5][i]!, memoryBytes }],
  }));
  let running = 0;
  const { events, outcomes } = await train(['a', 'b', 'c'], {
    expected,
    onEvent({ kind }) {
      if (kind === 'started') expect(++running).toBe(1);
      if (kind === 'done') running--;
    },
  });
  expect(outcomes.map(({ status }) => status)).toEqual(['done', 'done', 'done']);
  expect(events.filter(({ kind }) => kind === 'started').map(({ member }) => member)).toEqual([
    'b',
    'c',
    'a',
  ]);
});

test('a member that fails does not stop the others; the reason is reported and kept', async () => {
  const { run, outcomes } = await train(['a', 'fails', 'c']);
  expect(outcomes.map(({ status }) => status)).toEqual(['done', 'failed', 'done']);
  expect(outcomes[1]!.reason).toBe('fails cannot go on');
  expect(await readFailed(run, 'fails')).toMatchObject({
    reason: 'fails cannot go on',
    kind: 'exception',
    attempt: 4,
    signal: null,
    exitCode: null,
  });
});

test('a member whose failure cannot be written down fails with its reason, and the others go on', async () => {
  const run = await temporaryRun();
  await mkdir(join(run, 'members'));
  await symlink(join(run, 'unmounted', 'disk'), memberFolder(run, 'fails'));
  const { outcomes } = await train(['fails', 'b', 'c'], { run });
  expect(outcomes.map(({ status }) => status)).toEqual(['failed', 'done', 'done']);
  expect(outcomes[0]!.reason).toBe('fails cannot go on');
  expect(outcomes[0]!.notes).toContainEqual(
    expect.stringMatching(/^the reason of its failure could not be kept: .*failed\.json: .* → /),
  );
});

test('a member whose done.json is damaged or a folder fails by name, and the others go on', async () => {
  const run = await temporaryRun();
  await mkdir(memberFolder(run, 'a'), { recursive: true });
  await writeFile(doneFile(run, 'a'), '[]');
  await mkdir(doneFile(run, 'b'), { recursive: true });
  const { outcomes, events } = await train(['a', 'b', 'c'], { run });
  expect(outcomes.map(({ status }) => status)).toEqual(['failed', 'failed', 'done']);
  for (const [i, member] of ['a', 'b'].entries())
    expect(outcomes[i]!.reason).toMatch(
      new RegExp(`^${doneFile(run, member)}: .* → (delete it|.*remove it)`),
    );
  expect(events.filter(({ kind }) => kind === 'started').map(({ member }) => member)).toEqual(['c']);
});

const classes = ['non-covid', 'covid'];
const scans = [scan('val/covid/a', 1), scan('test/b', null)];

/** A run in which `a` is trained for two epochs, as the recipe asks, and has the probabilities of these splits. */
async function runWithDone(...splits: ('val' | 'test')[]): Promise<string> {
  const run = await temporaryRun();
  await writeScans(run, [{ members: ['a', 'b'], scans }]);
  await writeJson(doneFile(run, 'a'), { epochs: 2, bestEpoch: 1, macroF1: 0.75, weights: 'w' });
  for (const split of splits)
    await writeProbabilities(
      probabilitiesFile(run, 'a', split),
      asProbabilities([[0.5, 0.5]], { split, scans, classes }),
    );
  return run;
}

test('a member that is done is not trained again', async () => {
  const run = await runWithDone('val', 'test');
  const { outcomes, events } = await train(['a', 'b'], { run });
  expect(outcomes.map(({ macroF1 }) => macroF1)).toEqual([0.75, 0.2]);
  expect(events.filter(({ member }) => member === 'a').map(({ kind }) => kind)).toEqual(['skipped']);
});

test.each([[['test']], [['val', 'test']]] as const)(
  'a member that is done and lacks probabilities for %j is asked for these',
  async (splits) => {
    const run = await runWithDone(
      ...(['val', 'test'] as const).filter((split) => !(splits as readonly string[]).includes(split)),
    );
    const { events } = await train(['a', 'b'], { run });
    const started = events.filter(({ kind }) => kind === 'started');
    expect(started).toContainEqual({ member: 'a', kind: 'started', device: 'cpu:1', attempt: 1, splits });
    expect(started).toContainEqual({ member: 'b', kind: 'started', device: 'cpu:1', attempt: 1 });
  },
);

test('to predict only, members that are not trained stay so', async () => {
  const run = await runWithDone('val');
  const { outcomes, events } = await train(['a', 'b'], { run, predictOnly: true });
  expect(outcomes.map(({ member, status }) => [member, status])).toEqual([
    ['a', 'done'],
    ['b', 'untrained'],
  ]);
  expect(events.filter(({ kind }) => kind === 'started')).toEqual([
    { member: 'a', kind: 'started', device: 'cpu:1', attempt: 1, splits: ['test'] },
  ]);
});

test('a member that is done with fewer epochs than the recipe has is trained on, and is not done until then', async () => {
  const run = await runWithDone('val', 'test');
  const { epochs } = planOf(['a']).recipe.training;
  await writeJson(doneFile(run, 'b'), { epochs: epochs - 1, bestEpoch: 1, macroF1: 0.5, weights: 'w' });
  await mkdir(dirname(lastCheckpoint(memberFolder(run, 'b'))), { recursive: true });
  await writeFile(lastCheckpoint(memberFolder(run, 'b')), '');
  await train(['a', 'b'], { run, predictOnly: true });
  expect(existsSync(doneFile(run, 'b'))).toBe(true);
  const { outcomes, events } = await train(['a', 'b'], {
    run,
    onEvent: ({ member, kind }) => {
      if (member === 'b' && kind === 'started') expect(existsSync(doneFile(run, 'b'))).toBe(false);
    },
  });
  expect(outcomes.map(({ macroF1 }) => macroF1)).toEqual([0.75, 0.2]);
  expect(events.map(({ member, kind }) => `${member} ${kind}`)).toContain('b started');
  expect(events.filter(({ member }) => member === 'a').map(({ kind }) => kind)).toEqual(['skipped']);
});

test('a request to stop reaches the members at work and keeps the others from starting', async () => {
  const controller = new AbortController();
  const { outcomes } = await train(['endless-1', 'endless-2', 'c'], {
    signal: controller.signal,
    onEvent: ({ kind }) => kind === 'progress' && controller.abort(),
  });
  expect(outcomes.map(({ status }) => status)).toEqual(['stopped', 'stopped', 'stopped']);
});

test('a member that dies again and again is given up after three attempts more; progress gives it new ones', async () => {
  const { run, outcomes } = await train(['fails', 'b']);
  expect(outcomes.map(({ status, attempts }) => [status, attempts])).toEqual([
    ['failed', 4],
    ['done', 1],
  ]);
  expect(await readFailed(run, 'fails')).toMatchObject({ kind: 'exception', attempt: 4 });
  const { events } = await train(['fails-progress'], {
    retry: { waits: [0.1] },
    onEvent: (event) => {
      if (event.kind === 'started' && event.attempt === 4) throw new Error('enough');
    },
  }).catch(() => ({ events: 'went on' }));
  expect(events).toBe('went on');
});

test("a member that lacks the device's memory tries ever smaller micro-batches", async () => {
  const { run, outcomes } = await train(['small', 'memory']);
  expect(outcomes.map(({ status, attempts }) => [status, attempts])).toEqual([
    ['done', 3],
    ['failed', 3],
  ]);
  expect(await readFailed(run, 'memory')).toMatchObject({ kind: 'out-of-memory' });
  expect((await readPlan(run)).members.map(({ accumulate }) => accumulate)).toEqual([4, 4]);
});

describe.each<Isolation>(['thread', 'process'])('a member that dies in a %s', (isolation) => {
  const inProcess = isolation === 'process';

  test('is started again with a wait, and the others go on; the log says why and what it needed', async () => {
    const { run, outcomes, events } = await train(['exits-once', 'b', 'rejects-once'], { isolation });
    expect(outcomes.map(({ status, attempts }) => [status, attempts])).toEqual([
      ['done', 2],
      ['done', 1],
      ['done', 2],
    ]);
    const lastWords = 'exits-once is about to exit';
    const died = `attempt 1 failed: its ${inProcess ? 'process' : 'worker thread'} exited with code 7`;
    // A process may end before its last message has left it.
    expect(outcomes[0]!.notes).toEqual(inProcess ? expect.arrayContaining([died]) : [lastWords, died]);
    expect(outcomes[2]!.notes).toEqual(['attempt 1 failed: unhandled error: nobody awaits this']);
    expect(events).toContainEqual(
      expect.objectContaining({ member: 'exits-once', kind: 'retrying', attempt: 1, wait: 1 }),
    );
    const log = await readFile(logFile(run, 'exits-once'), 'utf8');
    expect(log).toMatch(/error attempt 1 failed, the next one starts in 1 s: .* code 7\n/);
    expect(log).toMatch(/info attempt 2 on cpu:1 \(.*\n.* info epoch 1\/3: .*\n/);
    expect(await readProgress(run, 'exits-once')).toMatchObject({
      state: 'done',
      attempt: 2,
      isolation,
      epoch: 3,
      epochs: 3,
    });
    expect(await readCoordinator(run)).toMatchObject({
      state: 'ended',
      isolation,
      devices: [{ members: [] }, { members: [] }],
      waiting: [],
    });
    expect(existsSync(join(memberFolder(run, 'exits-once'), '.process.json'))).toBe(false);
  });
});

test('a native crash ends one process only, and is reported with its signal and the tail of its standard error', async () => {
  const { run, outcomes } = await train(['segfaults', 'b'], {
    isolation: 'process',
    retry: { waits: [0.1] },
  });
  expect(outcomes.map(({ status }) => status)).toEqual(['failed', 'done']);
  expect(outcomes[0]).toMatchObject({
    reason: 'its process was ended by SIGSEGV',
    stderrTail: 'about to crash',
    attempts: 2,
  });
  expect(await readFailed(run, 'segfaults')).toMatchObject({
    kind: 'signal',
    signal: 'SIGSEGV',
    stderrTail: 'about to crash',
  });
  expect(await readFile(logFile(run, 'segfaults'), 'utf8')).toMatch(/SIGSEGV\n.*\n {2}about to crash\n/);
});

test.each<Isolation>(['thread', 'process'])(
  'a request to stop reaches the members in a %s',
  async (isolation) => {
    const controller = new AbortController();
    const { run, outcomes } = await train(['endless-1', 'b'], {
      isolation,
      signal: controller.signal,
      onEvent: ({ kind, member }) => kind === 'progress' && member === 'endless-1' && controller.abort(),
    });
    expect(outcomes[0]!.status).toBe('stopped');
    expect(await readProgress(run, 'endless-1')).toMatchObject({ state: 'stopped' });
    expect(await readCoordinator(run)).toMatchObject({ state: 'stopped' });
  },
);
