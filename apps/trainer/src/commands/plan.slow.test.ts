// The command plan and all-members --dry-run with a real measurement; the arithmetic of the plan is checked against its own parts.
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PlanDescription } from '@ct-ensemble/ensemble';
import { runCommand } from '../testing/run-command.ts';
import { writeInputs } from '../testing/train.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-plan-'));
  await writeInputs(folder, { epochs: 8, edge: 16 });
});
afterAll(() => rm(folder, { recursive: true }));

const common = ['--data', 'data', '--recipe', 'tiny.yaml', '--run', 'run', '--devices'];

test('time, memory and disk of every member on one device: one after the other', async () => {
  const { code, output } = await runCommand(folder, ['plan', ...common, 'cpu:1', '--json']);
  expect(code).toBe(0);
  const plan = JSON.parse(output.slice(output.indexOf('{'))) as PlanDescription;
  expect(plan).toMatchObject({ recipe: 'tiny', devices: ['cpu:1'], epochs: 8, batchSize: 3, problems: [] });
  const [first, second] = plan.members.toSorted((a, b) => a.startsAt! - b.startsAt!);
  expect([first!.member, second!.member].sort()).toEqual(['one', 'two']);
  for (const { scans, needs, diskBytes, device } of plan.members) {
    expect(scans).toEqual({ train: 8, val: 4, test: 2 });
    expect(device).toBe('cpu:1');
    expect(needs[0]!.seconds).toBeGreaterThan(0);
    expect(needs[0]!.memoryBytes).toBeGreaterThan(100e6); // TensorFlow alone needs more.
    expect(diskBytes).toBeGreaterThan(0);
  }
  expect(first!.startsAt).toBe(0);
  expect(second!.startsAt).toBeCloseTo(first!.endsAt!, 6);
  expect(plan.makespanSeconds).toBeCloseTo(plan.totalSeconds!, 6);
  expect(existsSync(join(folder, 'run'))).toBe(false);
});

test('on two devices, as a table: side by side; measured before, so not again; a dry run prints the same', async () => {
  const { code, output } = await runCommand(folder, ['plan', ...common, 'cpu:1,cpu:1']);
  expect(code).toBe(0);
  expect(output).toMatch(/^Recipe tiny: 2 members, 2 to be trained, 8 epochs, batches of 3; /m);
  for (const member of ['one', 'two'])
    expect(output).toMatch(new RegExp(`^${member} +densenet_small +8\\+4\\+2 +.* cpu:1 +0 s +\\d+ s$`, 'm'));
  const table = output.slice(output.indexOf('Recipe'));
  const again = await runCommand(folder, ['all-members', '--dry-run', ...common, 'cpu:1,cpu:1']);
  expect(again.code).toBe(0);
  expect(again.output).not.toMatch(/Measuring/);
  expect(again.output.replace(/ of \S+ \S+ free/, '')).toBe(table.replace(/ of \S+ \S+ free/, ''));
  expect(existsSync(join(folder, 'run'))).toBe(false);
});
