import { readFile, writeFile } from 'node:fs/promises';
import { adoptPlan, readPlan } from './plan.ts';
import { planFile } from '../run-folder.ts';
import { planOf, scan, temporaryRun } from '../testing.fixture.ts';

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
    /recipe\.training\.precision was undefined and is now "mixed"/,
  );
});

test('another recipe or other scans in the same folder are refused by the field', async () => {
  const run = await temporaryRun();
  await adoptPlan(run, planOf(['x']));
  const other = planOf(['x']);
  other.recipe.training.epochs = 7;
  await expect(adoptPlan(run, other)).rejects.toThrow(/recipe\.training\.epochs was 2 and is now 7.*--run/);
  const moreScans = planOf(['x'], ['cpu:1'], [scan('train/covid/a', 1)]);
  await expect(adoptPlan(run, moreScans)).rejects.toThrow(/dataset\.scans\.train was 0 and is now 1/);
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
  const other = { ...plan, dataset: { ...plan.dataset, layout: 'folders' } };
  await expect(adoptPlan(run, other)).rejects.toThrow(
    /dataset\.layout was "cov19-ct-db" and is now "folders"/,
  );
});
