// The schedules of the learning rate that recipes can have: a list of steps, or one that is named.
import { z } from 'zod';
import { choiceOf, definitionOf } from '../choice.ts';
import { cosine } from './cosine.ts';
import type { ScheduleDefinition, ScheduleTime } from './schedule.ts';
import { stepsRateAt, stepsSchema } from './steps.ts';

const schedules = [cosine] as const;
const named = choiceOf(schedules, 'schedule');

const isMapping = (value: unknown) => typeof value === 'object' && value !== null;

// Without a message of its own, so that the problems inside the list or the mapping are reported.
export const scheduleSchema = z.union([stepsSchema, named], {
  error: ({ input }) =>
    isMapping(input) ? undefined : 'must be a list of rates, or a mapping with a schedule such as cosine',
});
export type Schedule = z.infer<typeof scheduleSchema>;

/** What in a schedule does not go with the number of epochs. */
export function scheduleProblems(schedule: Schedule, epochs: number) {
  if (Array.isArray(schedule)) return [];
  return definitionOf<ScheduleDefinition>(schedules, schedule.schedule).problems?.(schedule, epochs) ?? [];
}

/** The learning rate of the step that comes next. */
export function learningRateAt(schedule: Schedule, time: ScheduleTime): number {
  if (Array.isArray(schedule)) return stepsRateAt(schedule, time);
  return definitionOf<ScheduleDefinition>(schedules, schedule.schedule).rateAt(schedule, time);
}
