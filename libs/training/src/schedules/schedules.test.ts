// Schedules against torch.optim.lr_scheduler (fixtures/record-training.py), asked before every step.
import { readFileSync } from 'node:fs';
import { learningRateAt, scheduleProblems, scheduleSchema } from './index.ts';

const { schedules } = JSON.parse(
  readFileSync(new URL('../fixtures/training.json', import.meta.url), 'utf8'),
) as { schedules: { options: unknown; epochs: number; stepsPerEpoch: number; rates: number[] }[] };

test.each(schedules)(
  'cosine is CosineAnnealingLR behind LinearLR: $options',
  ({ options, epochs, stepsPerEpoch, rates }) => {
    const schedule = scheduleSchema.parse(options);
    rates.forEach((rate, step) => {
      const epoch = Math.floor(step / stepsPerEpoch);
      const found = learningRateAt(schedule, { epoch, step, stepsPerEpoch, epochs });
      expect(Math.abs(found / rate - 1)).toBeLessThan(1e-11);
    });
    expect(rates).toHaveLength(epochs * stepsPerEpoch);
  },
);

test('steps change with the epoch alone; one rate is a constant', () => {
  const at = (steps: { from: number; rate: number }[], epoch: number) =>
    learningRateAt(scheduleSchema.parse(steps), { epoch, step: 99, stepsPerEpoch: 10, epochs: 10 });
  const steps = [{ from: 0, rate: 3 }, { from: 2, rate: 2 }, { from: 5, rate: 1 }]; // prettier-ignore
  expect([0, 1, 2, 4, 5, 9].map((epoch) => at(steps, epoch))).toEqual([3, 3, 2, 2, 1, 1]);
  expect([0, 9].map((epoch) => at([{ from: 0, rate: 0.5 }], epoch))).toEqual([0.5, 0.5]);
});

test('a warm-up that leaves no epoch is a problem of the field', () => {
  const schedule = scheduleSchema.parse({ schedule: 'cosine', rate: 1, warmUp: 4 });
  expect(scheduleProblems(schedule, 5)).toEqual([]);
  expect(scheduleProblems(schedule, 4)).toEqual([{ field: 'warmUp', message: 'must be below epochs, 4' }]);
});
