// The command plan where it measures nothing: bad input is one clear error.
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../testing/run-command.ts';
import { writeInputs } from '../testing/train.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-plan-'));
  await writeInputs(folder, { epochs: 2, edge: 16 });
});
afterAll(() => rm(folder, { recursive: true }));

test.each([
  ['a folder without scans', { data: 'nowhere' }, /nowhere/],
  ['a recipe that is missing', { recipe: 'none.yaml' }, /none\.yaml/],
  ['a device that is none', { devices: 'tpu' }, /tpu/],
])('%s is one error, and no folder is made', async (_, changed, named) => {
  const { data, recipe, devices } = { data: 'data', recipe: 'tiny.yaml', devices: 'cpu:1', ...changed };
  const args = ['plan', '--data', data, '--recipe', recipe, '--devices', devices, '--run', 'run'];
  const { code, output } = await runCommand(folder, args);
  expect(code).toBe(1);
  expect(output).toMatch(/^error: /);
  expect(output).toMatch(named);
  expect(output).not.toMatch(/\n\s+at /);
  expect(existsSync(join(folder, 'run'))).toBe(false);
});
