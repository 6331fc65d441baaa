// The cache of probes, and what is measured alone and at once, with measurements that only answer.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseRecipe } from '../recipes/load.ts';
import type { ProbeResult } from './measure.ts';
import { knownProbe, probe, type ProbeOptions } from './probe.ts';
import { probeKey, type ProbeSettings } from './probe-settings.ts';

const recipe = parseRecipe(
  `
name: small
description: A test.
volume: { depth: 4, height: 32, width: 32 }
members: [{ name: a, architecture: densenet_small, seed: 1 }]
training:
  epochs: 3
  batchSize: 4
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 1e-3 }]
  augmentation: { rotate: 10 }
submissions: [{ name: a, members: [a] }]
`,
  'small.yaml',
);

const settings: ProbeSettings = {
  architecture: 'densenet_small',
  views: [4],
  height: 32,
  width: 32,
  classes: 2,
  training: recipe.training,
  engine: 'tensorflow',
  engineSettings: {},
  device: { kind: 'cpu', index: 0, threads: 1 },
  atOnce: 1,
};

const result: ProbeResult = {
  stepSeconds: 0.5,
  predictionSeconds: 0.1,
  startSeconds: 7,
  epochSeconds: 1,
  memoryBytes: 5e8,
  lastBytes: 3000,
  bestBytes: 1000,
  parameters: 250,
};

let cache: string;
beforeEach(() => (cache = mkdtempSync(join(tmpdir(), 'probes-'))));
afterEach(() => rmSync(cache, { recursive: true }));

/** Answers with these results in turn. */
function measuring(...answers: Awaited<ReturnType<NonNullable<ProbeOptions['measure']>>>[]) {
  let count = 0;
  const options: ProbeOptions = { cache, measure: async () => answers[count++ % answers.length]! };
  return { options, count: () => count };
}

test('a second probe measures nothing', async () => {
  const { options, count } = measuring({ result });
  expect(await knownProbe(settings, options)).toBeUndefined();
  expect(await probe(settings, options)).toEqual({ result });
  expect(await probe(settings, options)).toEqual({ result });
  expect(await knownProbe(settings, options)).toEqual(result);
  expect(count()).toBe(1);
});

test('several at once are measured alone first, and the worst of each value counts', async () => {
  const slow = { ...result, stepSeconds: 0.9 };
  const large = { ...result, memoryBytes: 7e8 };
  const { options, count } = measuring(
    { result: { ...result, stepSeconds: 0.3 } },
    { result: slow },
    { result: large },
  );
  expect(await probe({ ...settings, atOnce: 2 }, options)).toEqual({
    result: { ...result, stepSeconds: 0.9, memoryBytes: 7e8 },
  });
  expect(count()).toBe(3);
});

test('members that would not fit into the memory together are measured alone', async () => {
  const huge = { ...result, memoryBytes: 2 ** 50 };
  const { options, count } = measuring({ result: huge });
  expect(await probe({ ...settings, atOnce: 2 }, options)).toEqual({ result: huge });
  expect(count()).toBe(1);
});

test('failures are not kept, and a damaged result is measured again', async () => {
  const { options, count } = measuring({ error: 'out of memory' }, { result });
  expect(await probe(settings, options)).toEqual({ error: 'out of memory' });
  expect(readdirSync(cache)).toEqual([]);
  expect(await probe(settings, options)).toEqual({ result });
  writeFileSync(join(cache, readdirSync(cache)[0]!), '{"result": {"stepSeconds": "long"}}');
  expect(await knownProbe(settings, options)).toBeUndefined();
  await probe(settings, options);
  expect(count()).toBe(3);
});

test('the key is that of everything that decides about time and memory', () => {
  const { training, device } = settings;
  const different: Partial<ProbeSettings>[] = [
    { architecture: 'resnet18' },
    { views: [8] },
    { height: 64 },
    { classes: 3 },
    { training: { ...training, batchSize: 8 } },
    { training: { ...training, accumulate: 2 } },
    { training: { ...training, precision: 'mixed' } },
    { engine: 'cpu' },
    { engineSettings: { tf32: true } },
    { device: { ...device, threads: 2 } },
    { device: { kind: 'gpu', index: 0 } },
    { atOnce: 2 },
  ];
  const keys = different.map((change) => probeKey({ ...settings, ...change }));
  expect(new Set([probeKey(settings), ...keys]).size).toBe(different.length + 1);
  const same: Partial<ProbeSettings>[] = [
    { training: { ...training, epochs: 99 } },
    { training: { ...training, learningRate: [{ from: 0, rate: 0.5 }] } },
    { device: { ...device, index: 3 } },
  ];
  for (const change of same) expect(probeKey({ ...settings, ...change })).toBe(probeKey(settings));
});
