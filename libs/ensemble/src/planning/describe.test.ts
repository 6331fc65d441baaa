// Plans of runs from given probes, against closed forms.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ScanEntry, Split } from '@ct-ensemble/data';
import type { Device } from '@ct-ensemble/engine';
import { parseRecipe } from '../recipes/load.ts';
import { describePlan, type DescribeOptions } from './describe.ts';
import { expectMembers, requireMemory } from './expectations.ts';
import { duration, planText } from './plan-text.ts';
import type { ProbeResult } from './measure.ts';

const GIB = 2 ** 30;
const recipeOf = (members: string) =>
  parseRecipe(
    `
name: small
description: A test.
volume: { depth: 4, height: 32, width: 32 }
members: ${members}
training:
  epochs: 10
  batchSize: 4
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 1e-3 }]
  augmentation: { rotate: 10 }
`,
    'small.yaml',
  );
const member = (name: string, architecture: string, seed = 1) =>
  `{ name: ${name}, architecture: ${architecture}, seed: ${seed} }`;
const recipe = recipeOf(`[${member('a', 'fast')}, ${member('b', 'slow')}, ${member('c', 'fast', 2)}]`);

const probes: Record<string, ProbeResult> = {
  fast: {
    stepSeconds: 0.5,
    predictionSeconds: 0.1,
    startSeconds: 7,
    epochSeconds: 1,
    memoryBytes: 2 * GIB,
    lastBytes: 3000,
    bestBytes: 1000,
    parameters: 250,
  },
  slow: {
    stepSeconds: 2,
    predictionSeconds: 0.4,
    startSeconds: 9,
    epochSeconds: 2,
    memoryBytes: 5 * GIB,
    lastBytes: 30_000,
    bestBytes: 10_000,
    parameters: 2500,
  },
};
/** 26 training scans are 6.5 steps, 10 validation scans 3 batches, 6 test scans 2 batches. */
const fastSeconds = 7 + 10 * (6.5 * 0.5 + 3 * 0.1 + 1) + 5 * 0.1;
const slowSeconds = 9 + 10 * (6.5 * 2 + 3 * 0.4 + 2) + 5 * 0.4;

const scans = ([['train', 26], ['val', 10], ['test', 6]] as [Split, number][]).flatMap(([split, count]) =>
  Array.from({ length: count }, (_, i): ScanEntry => ({
    key: `${split}/${i}`,
    split,
    name: `${split}-${i}`,
    label: i % 2,
    format: 'images',
    slices: [],
    patient: null,
    group: null,
    failure: null,
  })),
); // prettier-ignore
const index = { classes: ['x', 'y'], scans };
const cpus = (count: number): Device[] =>
  Array.from({ length: count }, (_, i) => ({ kind: 'cpu', index: i, threads: 1 }));

let run: string;
beforeEach(() => (run = mkdtempSync(join(tmpdir(), 'planned-'))));
afterEach(() => rmSync(run, { recursive: true }));

const options = (more: Partial<DescribeOptions> = {}): DescribeOptions => ({
  recipe,
  index,
  devices: cpus(2),
  engine: 'tensorflow',
  run,
  hostMemory: 16 * GIB,
  probeOf: async ({ architecture }) => ({ result: probes[architecture]! }),
  ...more,
});

test('times, memory, disk and places of the members', async () => {
  const plan = await describePlan(options());
  const [a, b, c] = plan.members;
  expect([a, b, c].map((each) => each!.needs[0]!.seconds!.toFixed(6))).toEqual(
    [fastSeconds, slowSeconds, fastSeconds].map((seconds) => seconds.toFixed(6)),
  );
  // The longest first, on one device; the two others one after the other on the other one.
  expect([b!.startsAt, a!.startsAt, a!.device, b!.device]).toEqual([0, 0, 'cpu:1', 'cpu:1']);
  expect(c!.startsAt).toBeCloseTo(fastSeconds);
  expect(plan.makespanSeconds).toBeCloseTo(Math.max(slowSeconds, 2 * fastSeconds));
  expect(plan.totalSeconds).toBeCloseTo(slowSeconds + 2 * fastSeconds);
  expect(plan.peakMemoryBytes).toBe(7 * GIB);
  const rows = 16 * (120 + 2 * 24);
  expect(plan.members.map(({ diskBytes }) => diskBytes)).toEqual([7000 + rows, 70_000 + rows, 7000 + rows]);
  expect(plan.problems).toEqual([]);
  expect(planText(plan)).toMatch(/b +slow +26\+10\+6 +new +3 min +5\.0 GiB .* cpu:1 +0 s/);
});

test('equal members are measured once for each kind of device', async () => {
  const asked: string[] = [];
  const gpus: Device[] = [0, 1].map((each) => ({ kind: 'gpu', index: each }));
  await describePlan(
    options({
      devices: [...cpus(2), ...gpus],
      async probeOf({ architecture, device, atOnce }) {
        asked.push(`${architecture} ${device.kind} ${atOnce}`);
        return { result: probes[architecture]! };
      },
    }),
  );
  expect(asked.sort()).toEqual(['fast cpu 2', 'fast gpu 1', 'slow cpu 2', 'slow gpu 1']);
});

test('members that do not fit together run one after the other', async () => {
  const plan = await describePlan(options({ hostMemory: 6 * GIB }));
  expect(plan.peakMemoryBytes).toBe(5 * GIB);
  expect(plan.makespanSeconds).toBeCloseTo(slowSeconds + fastSeconds);
});

test('a member that needs more than the memory is a problem, and an error before training', async () => {
  const small = options({ hostMemory: 4 * GIB });
  const plan = await describePlan(small);
  expect(plan.problems).toEqual([
    'a member of slow needs 5.0 GiB at its peak, as a probe has measured, and may use 4.0 GiB',
  ]);
  expect(plan.makespanSeconds).toBeNull();
  const expected = await expectMembers(small);
  const where = { devices: small.devices, hostMemory: 4 * GIB };
  expect(() => requireMemory(expected, where)).toThrow(/slow needs 5\.0 GiB.*→ raise training\.accumulate/);
  expect(() => requireMemory(expected, { ...where, hostMemory: 5 * GIB })).not.toThrow();
});

test('a measurement that failed is a problem; without probes nothing is claimed', async () => {
  const failed = await describePlan(options({ probeOf: async () => ({ error: 'killed' }) }));
  expect(failed.problems).toEqual([
    'fast could not be measured on cpu:1: killed',
    'slow could not be measured on cpu:1: killed',
  ]);
  const unknown = await describePlan(options({ probeOf: async () => undefined }));
  expect([unknown.problems, unknown.makespanSeconds, unknown.diskBytes]).toEqual([[], null, null]);
  expect(planText(unknown)).toMatch(/Time: unknown/);
});

test('epochs that the run has trained replace the probe, also for other members of the architecture', async () => {
  const folder = (name: string) => join(run, 'members', name);
  for (const name of ['a', 'b']) mkdirSync(folder(name), { recursive: true });
  const epochs = [20, 30, 22].map((seconds, epoch) =>
    JSON.stringify({ epoch, learningRate: 1e-3, loss: 1, macroF1: 0.5, seconds, waited: 0 }),
  );
  writeFileSync(join(folder('a'), 'history.jsonl'), `${epochs.join('\n')}\n`);
  writeFileSync(
    join(folder('b'), 'done.json'),
    JSON.stringify({ epochs: 10, bestEpoch: 3, macroF1: 0.5, weights: 'x', sha256: 'y' }),
  );
  const plan = await describePlan(options());
  expect(plan.members.map(({ state, needs: [need] }) => [state, need!.seconds, need!.source])).toEqual([
    ['begun', 7 + 7 * 22 + 0.5, 'epochs of this run'],
    ['done', 0, undefined],
    ['new', 7 + 10 * 22 + 0.5, 'epochs of this run'],
  ]);
});

test('members of folds have the scans of their folds', async () => {
  const grid = recipeOf('{ architectures: [fast], seeds: [1], folds: 4 }');
  const { members } = await describePlan(options({ recipe: grid }));
  expect(members).toHaveLength(4);
  for (const { scans: own } of members) {
    expect(own.train + own.val).toBe(36);
    expect(own.val).toBe(9);
    expect(own.test).toBe(6);
  }
});

test.each([
  [4, '4 s'],
  [99.6, '2 min'],
  [3600, '60 min'],
  [11_130, '3 h 06 min'],
  [200_000, '2 d 7 h'],
])('%d seconds: %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});
