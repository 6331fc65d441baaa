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

/** Architectures of simulated grids, taken in turn. */
export const GRIDS: Record<string, readonly (keyof typeof MEASURED_STEPS)[]> = {
  'one architecture': ['densenet161'],
  'five architectures': [
    'densenet161',
    'resnext50_32x4d',
    'inception_v3',
    'inception_v4',
    'inception_resnet_v2',
  ],
  'six, one much slower': [
    'densenet161',
    'resnext50_32x4d',
    'inception_v3',
    'inception_v4',
    'inception_resnet_v2',
    'att_unet',
  ],
};

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
  /** What no schedule can be below, even one that knew the actual durations: `makespanBound`, or where that is not sharp enough, `optimalMakespan`. */
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
  const makespan = clock.now();
  const simple = makespanBound(actual, devices);
  if (makespan <= 1.05 * simple) return { makespan, bound: simple };
  return { makespan, bound: Math.max(simple, (1 - noise) * optimalMakespan(seconds, devices)) };
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

/** How close `optimalMakespan` comes to the optimum, as a share of it. */
const PRECISION = 1e-4;

/**
 * The smallest makespan of jobs on equal machines, at most a ten-thousandth too low. Found by bisection: whether a makespan can
 * be kept is decided by trying all ways of filling one machine after another. Meant for few different durations.
 */
export function optimalMakespan(seconds: readonly number[], machines: number): number {
  const lengths = [...new Set(seconds)].sort((a, b) => b - a);
  const counts = lengths.map((length) => seconds.filter((other) => other === length).length);
  let low = makespanBound(seconds, machines);
  if (fitsInto(low * (1 + PRECISION), { lengths, counts, machines })) return low;
  let high = 2 * low; // Longest first is never above twice the bound.
  while (high - low > PRECISION * low) {
    const middle = (low + high) / 2;
    if (fitsInto(middle, { lengths, counts, machines })) high = middle;
    else low = middle;
  }
  return low;
}

interface Remaining {
  /** Different durations, longest first. */
  lengths: readonly number[];
  /** Jobs of each duration. */
  counts: readonly number[];
  machines: number;
}

/** A machine that is being filled. */
interface Filling {
  /** Jobs of each duration that no machine has yet. */
  left: readonly number[];
  /** The shortest of the jobs that were left out although some were left; none of them may fit. */
  smallest: number;
}

/** Whether the jobs end within `limit` on these machines. */
function fitsInto(limit: number, all: Remaining): boolean {
  const { lengths } = all;
  const impossible = new Set<string>();
  const fits = (counts: readonly number[], machines: number): boolean => {
    const total = counts.reduce((sum, count, i) => sum + count * lengths[i]!, 0);
    if (total === 0) return true;
    if (total > machines * limit) return false;
    const key = `${machines}:${counts.join()}`;
    if (impossible.has(key)) return false;
    // Some machine has one of the longest jobs that are left: this one, filled in every way that leaves no room for another.
    const longest = counts.findIndex((count) => count > 0);
    const fill = (i: number, room: number, { left, smallest }: Filling): boolean => {
      if (i === lengths.length) return room < smallest && fits(left, machines - 1);
      const most = Math.min(left[i]!, Math.floor(room / lengths[i]!));
      for (let taken = most; taken >= 0; taken--) {
        const after = left.with(i, left[i]! - taken);
        const next = after[i]! > 0 ? lengths[i]! : smallest;
        if (fill(i + 1, room - taken * lengths[i]!, { left: after, smallest: next })) return true;
      }
      return false;
    };
    const first = counts.with(longest, counts[longest]! - 1);
    if (
      lengths[longest]! <= limit &&
      fill(longest, limit - lengths[longest]!, { left: first, smallest: Infinity })
    )
      return true;
    impossible.add(key);
    return false;
  };
  return fits(all.counts, all.machines);
}
