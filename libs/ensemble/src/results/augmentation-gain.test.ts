import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { augmentedFile } from '../run-folder.ts';
import { parseRecipe } from '../recipes/load.ts';
import { makePlan } from '../run/plan.ts';
import { planOf, recipeText, scan, temporaryRun } from '../testing.fixture.ts';
import { augmentationGains, renderGains } from './augmentation-gain.ts';
import { type Probabilities, writeProbabilities } from './probabilities.ts';
import type { RunScans } from './run-scans.ts';

const classes = ['non-covid', 'covid'];
const all = [0, 1, 2, 3, 4, 5].map((i) => scan(`val/${i % 2 === 0 ? 'non-covid' : 'covid'}/s${i}`, i % 2));
const probabilities = (covid: number[], split: 'val' | 'test' = 'val'): Probabilities => ({
  classes,
  split,
  scans: (split === 'val' ? all : []).map(({ key, name, label }) => ({ key, name, label })),
  rows: covid.map((p) => [1 - p, p]),
  failed: [],
});

async function gainsOf(augmented: Record<string, number[]>, by: Record<string, string> = {}) {
  const run = await temporaryRun();
  const plain: Record<string, number[]> = {
    x: [0.1, 0.9, 0.1, 0.9, 0.1, 0.2],
    y: [0.2, 0.8, 0.3, 0.7, 0.2, 0.4],
  };
  for (const [name, covid] of Object.entries(augmented)) {
    await mkdir(dirname(augmentedFile(run, name, 'val')), { recursive: true });
    const augmentation = by[name];
    await writeProbabilities(augmentedFile(run, name, 'val'), {
      ...probabilities(covid),
      ...(augmentation !== undefined && { augmentation }),
    });
  }
  const usable = Object.entries(plain).map(([name, covid]) => ({
    name,
    macroF1: null,
    probabilities: { val: probabilities(covid), test: probabilities([], 'test') },
  }));
  const scans = {
    of: () => probabilities([]),
    splitToSubmit: 'val',
    inFolds: [],
  } as unknown as RunScans;
  const members = { usable, missing: [], unusable: [] };
  return augmentationGains(run, { plan: planOf(['x', 'y']), members, scans, patients: new Map() });
}

test('without files there is nothing; the same probabilities gain exactly nothing', async () => {
  expect(await gainsOf({})).toEqual([]);
  const [same, ...others] = await gainsOf({ x: [0.1, 0.9, 0.1, 0.9, 0.1, 0.2] });
  expect(others).toEqual([]);
  expect(same).toMatchObject({ row: 'x', split: 'val', scans: 6, plain: same!.augmented });
  expect(same!.gain).toEqual({ estimate: 0, interval: [0, 0] });
});

test('gains by hand, of a member and of the mean of both', async () => {
  const gains = await gainsOf({ x: [0.1, 0.9, 0.1, 0.9, 0.1, 0.8], y: [0.2, 0.8, 0.3, 0.7, 0.2, 0.4] });
  // Before: 3 of 3 and 2 of 3 right, F1 6/7 and 4/5. With augmentation all are right.
  const plain = (6 / 7 + 4 / 5) / 2;
  expect(gains.map(({ row }) => row)).toEqual(['x', 'y', 'ensemble']);
  for (const at of [0, 2]) {
    expect(gains[at]!.plain).toBeCloseTo(plain, 12);
    expect(gains[at]!.augmented).toBe(1);
    expect(gains[at]!.gain.estimate).toBeCloseTo(1 - plain, 12);
    expect(gains[at]!.gain.interval![0]).toBeGreaterThanOrEqual(0);
  }
  expect(gains[1]!.gain.estimate).toBe(0);
  expect(renderGains(gains)).toMatch(/^x +6 +validation +flips +82\.86 +100\.00 +\+17\.14/m);
});

test('each line names its augmentation, that of the ensemble those of all members', async () => {
  const same = { x: [0.1, 0.9, 0.1, 0.9, 0.1, 0.2], y: [0.2, 0.8, 0.3, 0.7, 0.2, 0.4] };
  const names = async (by: Record<string, string>) =>
    (await gainsOf(same, by)).map(({ augmentation }) => augmentation);
  expect(await names({ x: 'slices:4', y: 'slices:4' })).toEqual(['slices:4', 'slices:4', 'slices:4']);
  expect(await names({ x: 'flips,slices:2' })).toEqual([
    'flips,slices:2',
    'flips',
    'flips,slices:2 and flips',
  ]);
});

/** Six scans in three folds, one of each class a fold; two groups of members, by seed. */
async function gainsOfGrid(augmented: (seed: number, fold: number) => number[] | null) {
  const run = await temporaryRun();
  const text = recipeText(['x'])
    .replace(/members: \[\{.*/, 'members: { architectures: [densenet_small], seeds: [1, 2], folds: 3 }')
    .replace(
      /submissions:[^]*/,
      'submissions: [{ name: whole, members: all }, { name: tempered, members: all, temperature: true }]',
    );
  const plan = makePlan({
    recipe: parseRecipe(text, 'test'),
    dataset: { root: '/', layout: 'folders', classes, splits: 'data', labels: null },
    scans: [{ members: [], scans: [] }],
    engine: 'cpu',
    devices: ['cpu:1'],
  });
  const inFolds = [0, 1, 2, 3, 4, 5].map((i) => ({
    key: `train/s${i}`,
    name: `s${i}`,
    label: i % 2,
    fold: 1 + (i >> 1),
  }));
  const ofFold = (fold: number, covid: readonly number[]): Probabilities => ({
    classes,
    split: 'val',
    scans: inFolds.flatMap(({ fold: own, ...scan }) =>
      own === fold ? [{ key: scan.key, name: scan.name, label: scan.label }] : [],
    ),
    rows: covid.map((p) => [1 - p, p]),
    failed: [],
  });
  const usable = await Promise.all(
    plan.members.map(async ({ name, seed, fold }) => {
      const covid = augmented(seed, fold!);
      await mkdir(dirname(augmentedFile(run, name, 'val')), { recursive: true });
      if (covid !== null)
        await writeProbabilities(augmentedFile(run, name, 'val'), { ...ofFold(fold!, covid), augmentation: 'slices:2' }); // prettier-ignore
      // Seed 1 has the covid scan of fold 3 wrong, seed 2 that of fold 1.
      const plain = seed === 1 ? [0.2, fold === 3 ? 0.1 : 0.9] : [0.3, fold === 1 ? 0.4 : 0.6];
      return {
        name,
        macroF1: null,
        probabilities: { val: ofFold(fold!, plain), test: probabilities([], 'test') },
      };
    }),
  );
  const scans = {
    of: (name: string) => ofFold(plan.members.find((member) => member.name === name)!.fold!, []),
    splitToSubmit: 'val',
    inFolds,
  } as unknown as RunScans;
  const members = { usable, missing: [], unusable: [] };
  return augmentationGains(run, { plan, members, scans, patients: new Map() });
}

test('members of folds: a line for each group, for a submission that chooses, and for the mean of all', async () => {
  const gains = await gainsOfGrid(() => [0.1, 0.9]);
  // Plain: 3 of 3 and 2 of 3 right, F1 6/7 and 4/5, for each group; the mean has the covid scan of fold 3 wrong (0.35).
  const plain = (6 / 7 + 4 / 5) / 2;
  expect(gains.map(({ row, split, scans, augmentation }) => [row, split, scans, augmentation])).toEqual(
    ['densenet_small-seed1', 'densenet_small-seed2', 'tempered', 'ensemble'].map((row) => [
      row,
      'out-of-fold',
      6,
      'slices:2',
    ]),
  );
  // A temperature changes no answer, so the submission that chooses one has the figures of the mean.
  for (const gain of gains) {
    expect([gain.row, gain.plain]).toEqual([gain.row, expect.closeTo(plain, 12)]);
    expect(gain.augmented).toBe(1);
    expect(gain.gain.estimate).toBeCloseTo(1 - plain, 12);
  }
});

test('a submission that lacks a member with augmentation has no line', async () => {
  const gains = await gainsOfGrid((seed, fold) => (seed === 2 && fold === 2 ? null : [0.1, 0.9]));
  expect(gains.map(({ row, scans }) => [row, scans])).toEqual([
    ['densenet_small-seed1', 6],
    ['densenet_small-seed2', 4],
    ['ensemble', 6],
  ]);
});
