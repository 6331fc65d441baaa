// A real probe, in a process of its own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openRecipe } from '../run/run.ts';
import { probe } from './probe.ts';

const cache = mkdtempSync(join(tmpdir(), 'probes-'));
afterAll(() => rmSync(cache, { recursive: true }));

const settings = async () => ({
  architecture: 'densenet_small',
  views: [16],
  height: 32,
  width: 32,
  classes: 2,
  training: (await openRecipe('quick')).training,
  engine: 'tensorflow' as const,
  engineSettings: {},
  device: { kind: 'cpu' as const, index: 0, threads: 1 },
  atOnce: 1,
});

test('measures time, memory and checkpoints of a member', async () => {
  const { result } = await probe(await settings(), { cache });
  expect(result!.stepSeconds).toBeGreaterThan(0);
  expect(result!.predictionSeconds).toBeLessThan(result!.stepSeconds);
  expect(result!.memoryBytes).toBeGreaterThan(100e6);
  // Four bytes a weight in the best checkpoint; Adam's two moments come to that in the last one.
  expect(result!.bestBytes).toBeGreaterThan(4 * result!.parameters);
  expect(result!.lastBytes).toBeGreaterThan(12 * result!.parameters);
});

test('an error of the measurement is reported', async () => {
  const { error } = await probe({ ...(await settings()), architecture: 'no_such_network' }, { cache });
  expect(error).toMatch(/no_such_network/);
});
