// The command all-members, killed in the middle of an epoch and stopped by a signal.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { killTrainings, probabilitiesOf, train, writeInputs } from '../testing/train.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-trainer-'));
  await writeInputs(folder, { epochs: 6, edge: 24 });
});
afterAll(async () => {
  killTrainings();
  await rm(folder, { recursive: true, force: true });
});

test('killed in the middle of an epoch, a run continues and ends with the same bytes; done members are skipped', async () => {
  expect(await train(folder, 'straight')).toMatchObject({ code: 0 });
  const killed = await train(folder, 'killed', {
    watch: (output, kill) => {
      if (/: epoch 2\/6/.test(output)) kill('SIGKILL');
    },
  });
  expect(killed.signal).toBe('SIGKILL');
  const continued = await train(folder, 'killed');
  expect(continued).toMatchObject({ code: 0 });
  expect(continued.output).toMatch(/resumed from its checkpoint after epoch \d of 6/);
  for (const member of ['one', 'two'] as const)
    expect(await probabilitiesOf(folder, 'killed', member)).toBe(
      await probabilitiesOf(folder, 'straight', member),
    );

  const third = await train(folder, 'killed');
  expect(third.output.match(/already done/g)).toHaveLength(2);
});

test('SIGTERM stops after the current step, with exit code 130', async () => {
  let isSent = false;
  const stopped = await train(folder, 'stopped', {
    watch: (output, kill) => {
      if (isSent || !output.includes('epoch 1/6')) return;
      isSent = true;
      kill('SIGTERM');
    },
  });
  expect(stopped.code).toBe(130);
  expect(stopped.output).toMatch(/stopped {2}one: the same command continues its training/);
});
