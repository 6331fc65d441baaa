// The plan of a run before it starts: which member runs where and when, and what the whole run needs.
import { statfs } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { usableMemory } from '@ct-ensemble/core';
import type { Device } from '@ct-ensemble/engine';
import { virtualClock } from '../run/clock.ts';
import { deviceName, slotsOf } from '../run/devices.ts';
import { type Job, schedule } from '../run/schedule.ts';
import {
  type Expectation,
  type ExpectationOptions,
  expectMembers,
  gibibytes,
  kindOfDevice,
  memoryProblems,
} from './expectations.ts';

export interface PlannedMember extends Expectation {
  /** Where the schedule puts it, and when it starts and ends in seconds from the start of the run; null: unknown. */
  device: string | null;
  startsAt: number | null;
  endsAt: number | null;
}

export interface PlanDescription {
  recipe: string;
  engine: string;
  devices: string[];
  epochs: number;
  batchSize: number;
  members: PlannedMember[];
  /** Sum of the members' seconds; null if one is unknown. */
  totalSeconds: number | null;
  /** Seconds from the start of the run to the end of its last member; null if a member's time is unknown. */
  makespanSeconds: number | null;
  /** The most memory that members use at the same time on CPUs; null: unknown. */
  peakMemoryBytes: number | null;
  /** Memory that this process may use. */
  memoryBytes: number;
  /** Bytes of all checkpoints and probabilities; null if a member's are unknown. */
  diskBytes: number | null;
  /** Free bytes where the run is written; null: unknown. */
  diskFreeBytes: number | null;
  /** What stands in the way of the run, a line each. */
  problems: string[];
}

export interface DescribeOptions extends ExpectationOptions {
  run: string;
  /** Bytes that this process may use. Default: `usableMemory()`. */
  hostMemory?: number;
}

/** Plans a run without starting anything but the probes that `probeOf` measures. */
export async function describePlan(options: DescribeOptions): Promise<PlanDescription> {
  const { recipe, devices, engine, run, hostMemory = usableMemory() } = options;
  const expectations = await expectMembers(options);
  const open = expectations.filter(({ state }) => state !== 'done');
  const isKnown = open.every(({ needs }) => needs.every(({ seconds }) => seconds !== undefined));
  const problems = [
    ...new Set(
      open.flatMap(({ architecture, needs }) =>
        needs.flatMap(({ device, error }) =>
          error === undefined ? [] : [`${architecture} could not be measured on ${device}: ${error}`],
        ),
      ),
    ),
    ...memoryProblems(open, { devices, hostMemory }),
  ];
  const times = isKnown && problems.length === 0 ? await simulated(open, { devices, hostMemory }) : undefined;
  const members = expectations.map((expectation): PlannedMember => {
    const time = times?.members.get(expectation.member);
    return {
      ...expectation,
      device: time?.device ?? null,
      startsAt: time?.startsAt ?? null,
      endsAt: time?.endsAt ?? null,
    };
  });
  const disks = open.map(({ diskBytes }) => diskBytes);
  const diskBytes = disks.every((bytes) => bytes !== undefined)
    ? disks.reduce((sum, bytes) => sum + bytes, 0)
    : null;
  const diskFreeBytes = await freeBytes(run);
  if (diskBytes !== null && diskFreeBytes !== null && diskBytes > diskFreeBytes)
    problems.push(
      `checkpoints and probabilities need ${gibibytes(diskBytes)}, and the disk of ${run} has ${gibibytes(diskFreeBytes)} left`,
    );
  return {
    recipe: recipe.name,
    engine,
    devices: devices.map(deviceName),
    epochs: recipe.training.epochs,
    batchSize: recipe.training.batchSize,
    members,
    totalSeconds: times?.total ?? null,
    makespanSeconds: times?.makespan ?? null,
    peakMemoryBytes: times?.peakMemory ?? null,
    memoryBytes: hostMemory,
    diskBytes,
    diskFreeBytes,
    problems,
  };
}

/** What the scheduler is told of a member: its needs on the devices of the run, the longest of them. */
export function jobOf({ member, needs }: Expectation): Pick<Job, 'name' | 'seconds' | 'memoryBytes'> {
  const seconds = needs.flatMap(({ seconds }) => seconds ?? []);
  const memories = needs.flatMap(({ memoryBytes }) => memoryBytes ?? []);
  return {
    name: member,
    ...(seconds.length > 0 && { seconds: Math.max(...seconds) }),
    ...(memories.length > 0 && { memoryBytes: Math.max(...memories) }),
  };
}

/** Runs the scheduler itself in virtual time. */
async function simulated(
  open: readonly Expectation[],
  { devices, hostMemory }: { devices: readonly Device[]; hostMemory: number },
) {
  const clock = virtualClock();
  const members = new Map<string, { device: string; startsAt: number; endsAt: number }>();
  const needOn = (name: string, slot: number) =>
    open
      .find(({ member }) => member === name)!
      .needs.find(({ device }) => device === kindOfDevice(devices[slot]!))!;
  let [total, memory, peakMemory] = [0, 0, 0];
  await clock.drive(
    schedule({
      jobs: open.map(jobOf),
      devices: slotsOf(devices, hostMemory),
      clock,
      async run({ name }, { lease }) {
        const { seconds, memoryBytes = 0 } = needOn(name, lease.slot);
        const onCpu = devices[lease.slot]!.kind === 'cpu' ? memoryBytes : 0;
        const startsAt = clock.now();
        memory += onCpu;
        peakMemory = Math.max(peakMemory, memory);
        await clock.sleep(seconds!);
        memory -= onCpu;
        total += seconds!;
        members.set(name, { device: lease.device, startsAt, endsAt: clock.now() });
        return 'done';
      },
    }),
  );
  return { members, total, makespan: clock.now(), peakMemory };
}

/** Free bytes of the disk on which a folder is, or will be made. */
async function freeBytes(folder: string): Promise<number | null> {
  for (let path = resolve(folder); ; path = dirname(path)) {
    try {
      const { bavail, bsize } = await statfs(path);
      return bavail * bsize;
    } catch {
      if (path === dirname(path)) return null;
    }
  }
}
