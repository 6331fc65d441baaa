// A small plan and a temporary run folder, for this room's tests.
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { StoredScan } from '@ct-ensemble/data';
import { makePlan, type Plan } from './run/plan.ts';
import { parseRecipe } from './recipes/load.ts';

export const temporaryRun = () => mkdtemp(join(tmpdir(), 'ct-ensemble-run-'));

export const recipeText = (members: readonly string[]) => `
name: tiny
task: detection
description: For tests.
volume: { depth: 4, height: 16, width: 16 }
members: [${members.map((name, i) => `{ name: ${name}, architecture: densenet_small, seed: ${i + 1} }`).join(', ')}]
training:
  epochs: 2
  batchSize: 4
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 0.001 }]
  augmentation: none
submissions:
  - { name: all, members: [${members.join(', ')}] }
  - { name: first, members: [${members[0]}] }
`;

export const scan = (
  key: string,
  label: number | null,
  volume: string | null = `volume of ${key}`,
): StoredScan => ({
  key,
  label,
  volume,
  split: key.split('/')[0] as StoredScan['split'],
  name: key.split('/').at(-1)!,
  failure: volume === null ? 'no slice of it can be decoded' : null,
  slices: volume === null ? 0 : 9,
  kept: volume === null ? 0 : 9,
});

export function planOf(
  members: readonly string[],
  devices: readonly string[] = ['cpu:1'],
  scans: readonly StoredScan[] = [],
): Plan {
  return makePlan({
    recipe: parseRecipe(recipeText(members), 'test'),
    dataset: {
      root: '/data',
      layout: 'cov19-ct-db',
      labels: null,
      splits: 'data',
      classes: ['non-covid', 'covid'],
    },
    scans: [{ members: [...members], scans: [...scans] }],
    engine: 'tensorflow',
    devices,
  });
}
