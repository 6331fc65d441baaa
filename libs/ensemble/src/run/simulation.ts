// A simulation of whole runs: the scheduler itself with a virtual clock, and members that only take time.
import { randomStream } from '@ct-ensemble/core';
import { makespanBound } from './balance.ts';
import { virtualClock } from './clock.ts';
import { schedule } from './schedule.ts';

/**
 * Seconds of a training step, batch 4, float32, two threads, as docs/performance.md has them, of the architectures that
 * recipes combine.
 */
export const MEASURED_STEPS = {
  densenet161: 1.543,
  resnext50_32x4d: 0.948,
  inception_v3: 1.162,
  inception_v4: 2.175,
  inception_resnet_v2: 2.557,
  att_unet: 7.322,
} as const;

export interface SimulatedGrid {
  /** Expected duration of each member, in seconds. */
  seconds: readonly number[];
  devices: number;
  /** The actual durations differ by up to this share from the expected ones, evenly distributed. */
  noise: number;
  seed: number;
}

export interface SimulatedRun {
  makespan: number;
  /** `makespanBound` of the actual durations, which the scheduler does not know. */
  bound: number;
}

/** Runs a grid of members through `schedule` and compares its end with the bound. */
export async function simulate({ seconds, devices, noise, seed }: SimulatedGrid): Promise<SimulatedRun> {
  const clock = virtualClock();
  const random = randomStream({ seed, purpose: 'simulated durations', epoch: 0, sample: 0 });
  const actual = seconds.map((expected) => expected * (1 + noise * (2 * random.uniform() - 1)));
  const jobs = seconds.map((expected, i) => ({ name: `member-${i}`, seconds: expected }));
  await clock.drive(
    schedule({
      jobs,
      devices: Array.from({ length: devices }, (_, i) => ({ device: `gpu:${i}`, members: 1 })),
      clock,
      async run(job) {
        await clock.sleep(actual[jobs.indexOf(job as (typeof jobs)[number])]!);
        return 'done';
      },
    }),
  );
  return { makespan: clock.now(), bound: makespanBound(actual, devices) };
}

/** Durations of the members of a grid that takes its architectures in turn: 1000 steps each. */
export function gridSeconds(
  architectures: readonly (keyof typeof MEASURED_STEPS)[],
  members: number,
): number[] {
  return Array.from(
    { length: members },
    (_, i) => 1000 * MEASURED_STEPS[architectures[i % architectures.length]!],
  );
}
