// Whether a training can be continued with more epochs than it was begun with.
import { isDeepStrictEqual } from 'node:util';
import { learningRateAt, type Schedule } from './schedules/index.ts';
import type { TrainingOptions } from './schema.ts';

/**
 * Compares two recipes' `training`. A training can be extended if only the number of epochs grows and every epoch of the old one
 * has the same learning rate in the new one. Then it ends with the same bytes as a training that had the larger number from the
 * start. Steps of the learning rate may be added after the old training's last epoch.
 *
 * @returns null if the new one continues the old one, else the reason why it does not, as one phrase with the field's name
 */
export function canExtend(old: TrainingOptions, now: TrainingOptions): string | null {
  const fields = new Set([...Object.keys(old), ...Object.keys(now)]) as Set<keyof TrainingOptions>;
  for (const field of fields) {
    if (field === 'epochs' || field === 'learningRate' || isDeepStrictEqual(old[field], now[field])) continue;
    return `training.${field} was ${shown(old[field])} and is now ${shown(now[field])}`;
  }
  if (now.epochs < old.epochs)
    return `training.epochs was ${old.epochs} and is now ${now.epochs}; epochs can be added, but not taken away`;
  return scheduleReason(old, now);
}

function scheduleReason(old: TrainingOptions, now: TrainingOptions): string | null {
  const [before, after] = [old.learningRate, now.learningRate];
  if (isDeepStrictEqual(before, after) && (now.epochs === old.epochs || Array.isArray(after))) return null;
  const changed = `training.learningRate was ${shown(before)} and is now ${shown(after)}`;
  if (!Array.isArray(before) || !Array.isArray(after)) {
    const named = [before, after].find((schedule) => !Array.isArray(schedule)) as { schedule: string };
    return isDeepStrictEqual(before, after)
      ? `training.epochs was ${old.epochs} and is now ${now.epochs}, which changes the learning rates of the schedule ${named.schedule} in the epochs before`
      : changed;
  }
  for (let epoch = 0; epoch < old.epochs; epoch++)
    if (rateAt(before, epoch) !== rateAt(after, epoch)) return `${changed}, which differ in epoch ${epoch}`;
  return null;
}

/** A list of steps needs no more than the epoch. */
const rateAt = (schedule: Schedule, epoch: number) =>
  learningRateAt(schedule, { epoch, step: 0, stepsPerEpoch: 1, epochs: epoch + 1 });

const shown = (value: unknown) => JSON.stringify(value) ?? 'absent';
