import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pack } from 'msgpackr';
import { configFile, doneFile, planFile, scansFile } from './run-folder.ts';
import {
  changesOf,
  continuedHistory,
  historyOf,
  readConfig,
  readDone,
  readScans,
  trainedWith,
} from './run-records.ts';
import { readPlan } from './run/plan.ts';
import { planOf, scan, temporaryRun } from './testing.fixture.ts';

async function write(file: string, content: string | Uint8Array) {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
}

test.each([
  '[]',
  'null',
  '7',
  '{}',
  '{"epochs": 2',
  '{"epochs":2,"bestEpoch":1,"macroF1":"high","weights":"w"}',
])('done.json with %s is refused by its name, with a remedy', async (content) => {
  const run = await temporaryRun();
  await write(doneFile(run, 'a'), content);
  await expect(readDone(run, 'a')).rejects.toThrow(
    new RegExp(`^${doneFile(run, 'a')}: .* → (delete it and train again|restore or delete)`),
  );
});

test('a folder in the place of done.json is refused; without the file the member is not done', async () => {
  const run = await temporaryRun();
  expect(await readDone(run, 'a')).toBeUndefined();
  await mkdir(doneFile(run, 'a'), { recursive: true });
  await expect(readDone(run, 'a')).rejects.toThrow(
    `${doneFile(run, 'a')}: is a folder, not a regular file → `,
  );
});

test('scans.msgpack that is missing, damaged, of another shape or of other members is refused by its name', async () => {
  const run = await temporaryRun();
  const refused = (problem: string) =>
    expect(readScans(run, 'a')).rejects.toThrow(
      new RegExp(`^${scansFile(run)}: ${problem}.* → start the training`),
    );
  await refused("the list of the run's scans cannot be read");
  const scans = [scan('train/x', 1)];
  const whole = pack([{ members: ['b'], scans }]);
  await write(scansFile(run), whole.subarray(0, 20));
  await refused("the list of the run's scans cannot be read");
  await write(scansFile(run), pack([{ members: ['a'], scans: [{ ...scans[0], label: 'covid' }] }]));
  await refused('field 0\\.scans\\.0\\.label');
  await write(scansFile(run), whole);
  await refused('has no scans of the member a');
});

test.each([
  ['a/../../b', /field members\.0\.name: must be a safe folder name/],
  ['..', /field members\.0\.name/],
  ['b', /field members: two members have the same name/],
])('plan.json with a member named %s is refused', async (name, problem) => {
  const run = await temporaryRun();
  const plan = planOf(['a', 'b']);
  plan.members[0]!.name = name;
  await write(planFile(run), JSON.stringify(plan));
  await expect(readPlan(run)).rejects.toThrow(problem);
});

test('plan.json with a submission whose name leaves the folder is refused', async () => {
  const run = await temporaryRun();
  const plan = planOf(['a']);
  plan.recipe.submissions[0]!.name = '../../out';
  await write(planFile(run), JSON.stringify(plan));
  await expect(readPlan(run)).rejects.toThrow(
    /field recipe\.submissions\.0\.name: must be a safe folder name/,
  );
});

describe('what a member was trained with', () => {
  const [tensorflow, node] = ['TensorFlow 2.21.0 on CPU:1', 'v20.20.2'];
  const one = (epoch: number, step = 0) =>
    trainedWith({ engine: tensorflow, device: 'cpu:1', node }, { epoch, step });
  const two = (epoch: number, step = 0) =>
    trainedWith({ engine: tensorflow, device: 'cpu:2', node }, { epoch, step });
  const cpu = (epoch: number) =>
    trainedWith({ engine: 'tfjs 4.22.0 on its CPU backend (slow)', device: 'cpu:1', node }, { epoch });

  test('engine, device and versions come from the description of the engine', () => {
    expect(one(3)).toEqual({
      fromEpoch: 3,
      engine: 'tensorflow',
      device: 'cpu:1',
      node,
      versions: { tensorflow: '2.21.0' },
    });
    expect(cpu(0)).toMatchObject({ engine: 'cpu', versions: { tfjs: '4.22.0' } });
    const gpu = (i: number) =>
      trainedWith(
        { engine: `TensorFlow 2.21.0 on GPU:${i} (500 MiB of it), TF32 off`, device: `gpu:${i}`, node },
        { epoch: 0 },
      );
    expect(gpu(1)).toEqual(gpu(0));
    expect(gpu(1).device).toBe('gpu, TF32 off');
  });

  test('a member that was only interrupted has the history of one that was not', () => {
    expect(continuedHistory([one(0)], one(4))).toEqual([one(0)]);
    expect(continuedHistory([], one(0))).toEqual([one(0)]);
  });

  test('a change is kept; epochs that are trained again are no longer those of the first time', () => {
    expect(continuedHistory([one(0)], two(4))).toEqual([one(0), two(4)]);
    expect(continuedHistory([one(0), two(4)], two(6))).toEqual([one(0), two(4)]);
    expect(continuedHistory([one(0), two(4)], one(4))).toEqual([one(0)]);
    expect(continuedHistory([one(0), two(4)], one(6))).toEqual([one(0), two(4), one(6)]);
  });

  test('a change inside an epoch is kept with its step', () => {
    expect(two(0, 5)).toMatchObject({ fromEpoch: 0, fromStep: 5 });
    expect(continuedHistory([one(0)], two(0, 5))).toEqual([one(0), two(0, 5)]);
    expect(continuedHistory([one(0), two(0, 5)], two(0, 3))).toEqual([one(0), two(0, 3)]);
    expect(continuedHistory([one(0), two(0, 5)], one(0, 5))).toEqual([one(0)]);
    expect(continuedHistory([one(0), two(0, 5)], two(1))).toEqual([one(0), two(0, 5)]);
  });

  test('the changes are named', () => {
    expect(changesOf(one(0), one(9))).toEqual([]);
    expect(changesOf(one(0), two(4))).toEqual(['device cpu:1, now cpu:2']);
    expect(changesOf(one(0), cpu(4))).toEqual(['engine tensorflow, now cpu']);
    const newer = { ...one(4), versions: { tensorflow: '2.22.0' } };
    expect(changesOf(one(0), newer)).toEqual(['tensorflow 2.21.0, now 2.22.0']);
  });

  test('config.json of an earlier version tells its last start; a damaged one is refused', async () => {
    const run = await temporaryRun();
    expect(await readConfig(run, 'a')).toBeUndefined();
    const old = { member: { name: 'a', device: 'cpu:2' }, engine: tensorflow, node };
    await write(configFile(run, 'a'), JSON.stringify(old));
    expect(historyOf((await readConfig(run, 'a'))!)).toEqual([two(0)]);
    await write(configFile(run, 'a'), JSON.stringify({ ...old, history: [{ fromEpoch: -1 }] }));
    await expect(readConfig(run, 'a')).rejects.toThrow(/config\.json: field history\.0\.fromEpoch/);
  });
});
