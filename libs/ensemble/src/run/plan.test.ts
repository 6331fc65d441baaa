import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { StoredScan } from '@ct-ensemble/data';
import { foldsOf, withFolds } from './folds.ts';
import { adoptPlan as adopt, makePlan, type Plan, readPlan } from './plan.ts';
import { parseRecipe } from '../recipes/load.ts';
import type { Recipe } from '../recipes/schema.ts';
import { planFile, probabilitiesFile, type RunScan, scansFile } from '../run-folder.ts';
import { readScans } from '../run-records.ts';
import { planOf, recipeText, scan, temporaryRun } from '../testing.fixture.ts';

const scansOf = (plan: Plan, scans: readonly StoredScan[]) => [
  { members: plan.members.map(({ name }) => name), scans: [...scans] },
];
const adoptPlan = async (run: string, plan: Plan, scans: readonly StoredScan[] = []) =>
  (await adopt(run, plan, { scans: scansOf(plan, scans) })).state;

test('lists the members with architecture, seed, views and device', () => {
  const scans = [
    scan('train/covid/a', 1),
    scan('train/covid/b', 1, null),
    scan('val/covid/c', 1),
    scan('test/d', null),
  ];
  const plan = planOf(['x', 'y', 'z'], ['gpu:0', 'gpu:1'], scans);
  expect(plan.members).toEqual([
    {
      name: 'x',
      architecture: 'densenet_small',
      seed: 1,
      pretrained: false,
      views: [{ depth: 4, height: 16, width: 16 }],
      device: 'gpu:0',
    },
    {
      name: 'y',
      architecture: 'densenet_small',
      seed: 2,
      pretrained: false,
      views: [{ depth: 4, height: 16, width: 16 }],
      device: 'gpu:1',
    },
    {
      name: 'z',
      architecture: 'densenet_small',
      seed: 3,
      pretrained: false,
      views: [{ depth: 4, height: 16, width: 16 }],
      device: 'gpu:0',
    },
  ]);
  expect(plan.dataset.scans).toEqual({ train: 1, val: 1, test: 1 });
});

test('is written, read back, and continued; devices may change', async () => {
  const run = await temporaryRun();
  expect(await adoptPlan(run, planOf(['x']))).toBe('new');
  expect(await readPlan(run)).toEqual(planOf(['x']));
  expect(await adoptPlan(run, planOf(['x'], ['gpu:0']))).toBe('continued');
  expect((await readPlan(run)).devices).toEqual(['gpu:0']);
});

test('settings of the engine may change when a run is continued, the precision may not', async () => {
  const run = await temporaryRun();
  const { recipe, ...plan } = planOf(['x']);
  await adoptPlan(run, { ...plan, recipe });
  const engine = { tf32: true, deterministic: true, memoryLimit: '4GiB' };
  expect(await adoptPlan(run, { ...plan, recipe: { ...recipe, engine } })).toBe('continued');
  expect((await readPlan(run)).recipe.engine).toEqual(engine);
  const mixed = { ...recipe, training: { ...recipe.training, precision: 'mixed' as const } };
  await expect(adoptPlan(run, { ...plan, recipe: mixed })).rejects.toThrow(
    /training\.precision was undefined and is now "mixed"/,
  );
});

const scans = [
  scan('train/covid/a', 1),
  scan('train/non-covid/b', 0),
  scan('val/covid/c', 1),
  scan('val/non-covid/d', 0),
  scan('test/e', null),
];

async function runOf(members: string[]) {
  const run = await temporaryRun();
  await adoptPlan(run, planOf(members, ['cpu:1'], scans), scans);
  return run;
}

/** What the run replies to the plan with these changes. */
async function reply(
  run: string,
  change: (recipe: Plan['recipe']) => void,
  { of = scans, members = ['x', 'y'] }: { of?: StoredScan[]; members?: string[] } = {},
) {
  const plan = planOf(members, ['cpu:1'], of);
  change(plan.recipe);
  return adopt(run, plan, { scans: scansOf(plan, of) });
}

test.each<[string, (recipe: Plan['recipe']) => void, string]>([
  ['the size', ({ volume }) => (volume.height = 17), 'volume.height was 16 and is now 17'],
  [
    'the mask',
    ({ volume }) => (volume.mask = { dilate: 3, edge: 'dilated' }),
    'volume.mask was null and is now',
  ],
  ['the batch', ({ training }) => (training.batchSize = 5), 'training.batchSize was 4 and is now 5'],
  ['fewer epochs', ({ training }) => (training.epochs = 1), 'training.epochs was 2 and is now 1'],
  ['a seed', ({ members }) => (members[1]!.seed = 9), 'members.y.seed was 2 and is now 9'],
  ['a network', ({ members }) => (members[0]!.architecture = 'resnext_small'), 'members.x.architecture was'],
  [
    'earlier epochs',
    ({ training }) => Object.assign(training, { epochs: 4, learningRate: [{ from: 0, rate: 0.002 }] }),
    'training.learningRate was [{"from":0,"rate":0.001}] and is now [{"from":0,"rate":0.002}], which differ',
  ],
  [
    'a rate from an epoch that is trained',
    ({ training }) =>
      Object.assign(training, { epochs: 4, learningRate: [{ from: 0, rate: 0.001 }, { from: 1, rate: 1 }] }), // prettier-ignore
    'training.learningRate was [{"from":0,"rate":0.001}] and is now',
  ],
])('what weights depend on may not change: %s', async (_, change, message) => {
  const run = await runOf(['x', 'y']);
  await expect(reply(run, change)).rejects.toThrow(
    `${run}: this run was made with other settings: ${message}`,
  );
});

test('all differences are listed in one error', async () => {
  const run = await runOf(['x', 'y']);
  const change = ({ volume, members }: Plan['recipe']) => {
    volume.width = 20;
    members[0]!.seed = 7;
  };
  await expect(reply(run, change)).rejects.toThrow(
    'volume.width was 16 and is now 20; members.x.seed was 1 and is now 7',
  );
});

test('description, submissions, name and task may change; epochs may be added at the end', async () => {
  const run = await runOf(['x', 'y']);
  const { notes } = await reply(run, (recipe) => {
    Object.assign(recipe, { name: 'other', description: 'Other.', classes: ['non-covid', 'covid'] });
    delete recipe.task;
    recipe.submissions.splice(0, 1);
  });
  expect(notes).toEqual([]);
  expect((await readPlan(run)).recipe).toMatchObject({ name: 'other', submissions: [{ name: 'first' }] });
  const more = await reply(
    run,
    ({ training }) =>
    Object.assign(training, { epochs: 4, learningRate: [{ from: 0, rate: 0.001 }, { from: 2, rate: 1e-4 }] }), // prettier-ignore
  );
  expect(more.notes).toEqual(['training.epochs was 2 and is now 4: all members are trained on']);
});

test('members may be added and removed; one that comes back must be as it was', async () => {
  const run = await runOf(['x', 'y']);
  const without = await reply(run, () => {}, { members: ['x'] });
  expect(without.notes).toEqual(["no longer in the recipe, kept in the run's folder and not used: y"]);
  const added = await reply(run, () => {}, { members: ['x', 'z', 'w'] });
  expect(added.notes).toEqual(['new in the recipe: z, w']);
  expect((await readPlan(run)).retired.map(({ name, seed }) => [name, seed])).toEqual([['y', 2]]);
  // y was the second member, with the seed 2.
  await expect(reply(run, () => {}, { members: ['x', 'z', 'y'] })).rejects.toThrow(
    'members.y.seed was 2 and is now 3',
  );
  await reply(run, ({ members }) => (members[2]!.seed = 2), { members: ['x', 'z', 'y'] });
  expect((await readPlan(run)).retired.map(({ name }) => name)).toEqual(['w']);
  await expect(reply(run, () => {}, { members: ['q'] })).rejects.toThrow(
    'none of its members (x, z, y) is in the recipe',
  );
});

test('train and val scans that differ are named: changed, added, removed, of another class or split', async () => {
  const run = await runOf(['x', 'y']);
  const other = [
    scan('train/covid/a', 1, 'another volume'),
    scan('train/non-covid/b', 1),
    scan('train/covid/new', 1),
    scan('val/covid/c', 1, null),
    { ...scan('test/e', null), split: 'val' as const },
  ];
  await expect(reply(run, () => {}, { of: other })).rejects.toThrow(
    [
      'this run was made with other scans for training and validation: train/covid/a has changed since the run was made',
      'train/non-covid/b was of class non-covid and is now of class covid since the run was made',
      'val/covid/c could be prepared and cannot be now since the run was made',
      'val/non-covid/d was removed since the run was made',
      'test/e was in split test and is now in val since the run was made',
      'train/covid/new was added since the run was made →',
    ].join('; '),
  );
  const many = [...scans, ...Array.from({ length: 13 }, (_, k) => scan(`train/covid/n${k}`, 1))];
  await expect(reply(run, () => {}, { of: many })).rejects.toThrow(
    /n9 was added since the run was made; and 3 more →/,
  );
  const otherwise = scans.map((each) => ({ ...each, volume: `masked ${each.key}` }));
  await expect(reply(run, () => {}, { of: otherwise })).rejects.toThrow(
    /--filter, --masks and --values .* all scans are prepared otherwise/,
  );
  expect(await readScans(run, 'x')).toEqual(scans);
});

test('a volume that has another key and equal grey values has not changed', async () => {
  const run = await runOf(['x']);
  const plan = planOf(['x'], ['cpu:1'], scans);
  const later = scans.map((each) => ({ ...each, volume: `version 3 of ${each.key}` }));
  const isSameVolume = async (old: string, now: string) =>
    now === old.replace('volume of', 'version 3 of') && !old.endsWith('test/e');
  const { state, notes } = await adopt(run, plan, { scans: scansOf(plan, later), isSameVolume });
  expect(state).toBe('continued');
  expect(notes).toEqual([
    expect.stringMatching(/^test scans: test\/e has changed since the run was made; the/),
  ]);
  expect(await readScans(run, 'x')).toEqual(later);
});

test('the classes may not change', async () => {
  const run = await runOf(['x']);
  const plan = planOf(['x'], ['cpu:1'], scans);
  const dataset = { ...plan.dataset, classes: ['covid', 'non-covid'] };
  await expect(adoptPlan(run, { ...plan, dataset }, scans)).rejects.toThrow(
    'the classes were non-covid, covid and are now covid, non-covid',
  );
});

test('test scans may change: the probabilities for them are deleted, those for validation stay', async () => {
  const run = await runOf(['x', 'y']);
  await reply(run, () => {}, { members: ['x'] }); // y is no longer in the recipe
  const files = ['x', 'y'].flatMap((name) => [
    probabilitiesFile(run, name, 'val'),
    probabilitiesFile(run, name, 'test'),
  ]);
  for (const file of files) {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, '{}');
  }
  await reply(run, () => {}, { members: ['x'] });
  expect(files.map((file) => existsSync(file))).toEqual([true, true, true, true]);
  const later = [...scans.slice(0, 4), scan('test/e', null, 'another volume'), scan('test/f', null)];
  const { state, notes } = await reply(run, () => {}, { of: later, members: ['x'] });
  expect(state).toBe('continued');
  expect(notes).toEqual([
    'test scans: test/e has changed since the run was made; test/f was added since the run was made; the members are asked for them again',
  ]);
  expect(files.map((file) => existsSync(file))).toEqual([true, false, true, false]);
  expect(await readScans(run, 'x')).toEqual(later);
  expect((await readPlan(run)).dataset.scans.test).toBe(2);
});

test('without scans.msgpack, or with a damaged one, the digest of all scans decides', async () => {
  const run = await runOf(['x']);
  const other = [...scans, scan('train/covid/new', 1)];
  for (const damage of [() => rm(scansFile(run)), () => writeFile(scansFile(run), 'none')]) {
    await damage();
    await expect(reply(run, () => {}, { of: other, members: ['x'] })).rejects.toThrow(
      /other scans → .*scans\.msgpack is missing or damaged/,
    );
    expect((await reply(run, () => {}, { members: ['x'] })).state).toBe('continued');
  }
});

test('no run, and a plan that is none, are named', async () => {
  const run = await temporaryRun();
  await expect(readPlan(run)).rejects.toThrow(/plan\.json is missing/);
  await writeFile(planFile(run), '{"version": 1');
  await expect(readPlan(run)).rejects.toThrow(/plan\.json: is not JSON/);
  await adoptPlan(await temporaryRun(), planOf(['x']));
  await writeFile(planFile(run), JSON.stringify({ ...planOf(['x']), engine: 'abacus' }));
  await expect(readPlan(run)).rejects.toThrow(/plan\.json: field engine/);
  expect(await readFile(planFile(run), 'utf8')).toContain('abacus');
});

test('a plan of an earlier version, which names a task and no layout, is read and continued', async () => {
  const run = await temporaryRun();
  const plan = planOf(['x']);
  const { root, classes, scans, digest } = plan.dataset;
  const dataset = { root, task: 'detection', classes, scans, digest };
  await writeFile(planFile(run), JSON.stringify({ ...plan, dataset }));
  expect(await readPlan(run)).toEqual(plan);
  expect(await adoptPlan(run, plan)).toBe('continued');
});

describe('members of folds', () => {
  const grid = (folds: number, seed = 1, seeds = '[1, 2]') =>
    parseRecipe(
      recipeText(['x'])
        .replace('task: detection', `task: detection\nsplit: { val: 0.2, seed: ${seed} }`)
        .replace(
          /members: \[\{.*/,
          `members: { architectures: [densenet_small], seeds: ${seeds}, folds: ${folds} }`,
        )
        .replace(/submissions:[^]*/, ''),
      'test',
    );
  const patients = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  const indexed = patients.map((name, i) => ({
    ...scan(`${i < 6 ? 'train' : 'val'}/${i % 2 === 0 ? 'covid' : 'non-covid'}/${name}`, i % 2),
    patient: name,
  }));
  const begin = (recipe: Recipe, run: string, change: (scans: RunScan[]) => RunScan[] = (scans) => scans) => {
    const members = recipe.members.map(({ name }) => name);
    const folds = Object.fromEntries(recipe.members.map(({ name, fold }) => [name, fold!]));
    const scans = [{ members, scans: change(withFolds(indexed, foldsOf(indexed, recipe))), folds }];
    const dataset = {
      root: '/',
      layout: 'folders',
      classes: ['non-covid', 'covid'],
      splits: 'data',
      labels: null,
    } as const;
    const plan = makePlan({
      recipe,
      dataset: { ...dataset, classes: [...dataset.classes] },
      scans,
      engine: 'cpu',
      devices: ['cpu:1'],
    });
    return adopt(run, plan, { scans });
  };

  it('are planned with their fold, and each reads the splits of its own', async () => {
    const run = await temporaryRun();
    await begin(grid(2), run);
    const { members } = await readPlan(run);
    expect(members.map(({ name, fold }) => [name, fold])).toEqual([
      ['densenet_small-seed1-fold1', 1],
      ['densenet_small-seed1-fold2', 2],
      ['densenet_small-seed2-fold1', 1],
      ['densenet_small-seed2-fold2', 2],
    ]);
    const val = async (member: string) =>
      (await readScans(run, member)).filter(({ split }) => split === 'val').map(({ key }) => key);
    const [one, two] = [await val('densenet_small-seed1-fold1'), await val('densenet_small-seed2-fold2')];
    expect([...one, ...two].sort()).toEqual(indexed.map(({ key }) => key).sort());
    const train = (await readScans(run, 'densenet_small-seed2-fold2')).filter(
      ({ split }) => split === 'train',
    );
    expect(train.map(({ key }) => key)).toEqual(one);
  });

  it('continue as they were; seeds may be added, and the number of folds and their draw may not change', async () => {
    const run = await temporaryRun();
    await begin(grid(2), run);
    expect(await begin(grid(2), run)).toMatchObject({ state: 'continued', notes: [] });
    await expect(begin(grid(3), run)).rejects.toThrow(/made with other settings: folds was 2 and is now 3/);
    await expect(begin(grid(2, 2), run)).rejects.toThrow(/other settings: split.seed was 1 and is now 2/);
    expect((await begin(grid(2, 1, '[1, 2, 3]'), run)).notes).toEqual([
      'new in the recipe: densenet_small-seed3-fold1, densenet_small-seed3-fold2',
    ]);
  });

  it('cannot change their fold by hand, and scans cannot change theirs', async () => {
    const run = await temporaryRun();
    await begin(grid(2), run);
    const other = grid(2);
    other.members[0]!.fold = 2;
    await expect(begin(other, run)).rejects.toThrow(
      /members.densenet_small-seed1-fold1.fold was 1 and is now 2/,
    );
    const moved = (scans: RunScan[]) =>
      scans.map((each, i) => (i === 0 ? { ...each, fold: 3 - each.fold! } : each));
    await expect(begin(grid(2), run, moved)).rejects.toThrow(
      /other scans for training and validation: train\/covid\/a was in fold [12] and is now in fold [12] since/,
    );
    await rm(scansFile(run));
    await expect(begin(grid(2), run, moved)).rejects.toThrow(/made with other scans/);
  });
});
