import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { augmentedFile } from '../run-folder.ts';
import { planOf, scan, temporaryRun } from '../testing.fixture.ts';
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
