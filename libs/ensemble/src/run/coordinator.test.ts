import { existsSync } from 'node:fs';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeJson } from '@ct-ensemble/core';
import type { Device } from '@ct-ensemble/engine';
import { lastCheckpoint } from '@ct-ensemble/training';
import { type CoordinatorOptions, type MemberEvent, trainMembers } from './coordinator.ts';
import { deviceName, parseDevices } from './devices.ts';
import { asProbabilities } from './member-probabilities.ts';
import { writeProbabilities } from '../results/probabilities.ts';
import { doneFile, failedFile, memberFolder, probabilitiesFile, writeScans } from '../run-folder.ts';
import { planOf, scan, temporaryRun } from '../testing.fixture.ts';

const worker = fileURLToPath(new URL('../../fixtures/fake-worker.mjs', import.meta.url));
const twoDevices = parseDevices('cpu:1,cpu:1', 9, { cores: 2, gpus: 0 });

async function train(members: string[], options: Partial<CoordinatorOptions> & { devices?: Device[] } = {}) {
  const run = options.run ?? (await temporaryRun());
  const devices = options.devices ?? twoDevices;
  const events: MemberEvent[] = [];
  const onEvent = (event: MemberEvent) => {
    events.push(event);
    options.onEvent?.(event);
  };
  const plan = planOf(members, devices.map(deviceName));
  const outcomes = await trainMembers({ run, plan, store: run, worker, ...options, devices, onEvent });
  return { run, outcomes, events };
}

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

test('a member that fails does not stop the others; the reason is told and kept', async () => {
  const { run, outcomes } = await train(['a', 'fails', 'c']);
  expect(outcomes.map(({ status }) => status)).toEqual(['done', 'failed', 'done']);
  expect(outcomes[1]!.reason).toBe('fails cannot go on');
  expect(JSON.parse(await readFile(failedFile(run, 'fails'), 'utf8'))).toEqual({
    reason: 'fails cannot go on',
  });
});

test('a member whose failure cannot be written down fails with its reason, and the others go on', async () => {
  const run = await temporaryRun();
  await mkdir(join(run, 'members'));
  await symlink(join(run, 'unmounted', 'disk'), memberFolder(run, 'fails'));
  const { outcomes } = await train(['fails', 'b', 'c'], { run });
  expect(outcomes.map(({ status }) => status)).toEqual(['failed', 'done', 'done']);
  expect(outcomes[0]!.reason).toBe('fails cannot go on');
  expect(outcomes[0]!.notes).toEqual([
    expect.stringMatching(/^the reason of its failure could not be kept: .*failed\.json: .* → /),
  ]);
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
    expect(started).toContainEqual({ member: 'a', kind: 'started', device: 'cpu:1', splits });
    expect(started).toContainEqual({ member: 'b', kind: 'started', device: 'cpu:1' });
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
    { member: 'a', kind: 'started', device: 'cpu:1', splits: ['test'] },
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
