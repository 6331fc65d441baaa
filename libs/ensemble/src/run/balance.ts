// Distributes jobs of known durations over machines so that the last one ends early; bounds for how early that can be.
import { randomStream } from '@ct-ensemble/core';

export interface Machine {
  /** Seconds until the machine is free. */
  busy: number;
}

/** Improvements of one assignment at most; each makes the fullest machine less full, and few are ever needed. */
const MOST_IMPROVEMENTS = 500;

/** Attempts to find a better assignment, and the share above the bound at which they end. */
const ROUNDS = 150;
/** Rounds times jobs at most: of a thousand jobs hundreds are dealt out later, when fewer are left. */
const MOST_ROUND_JOBS = 20_000;
const GOOD_ENOUGH = 0.002;

/**
 * Assigns jobs to machines. The start is the longest job first, each to the machine that is free earliest (LPT), or the given
 * assignment if it is better. Then jobs are moved and exchanged as long as that makes the fullest machine end earlier; if
 * the result is above the bound, the jobs of some machines are dealt anew at random, several times. The draws depend on nothing,
 * so equal input gives an equal assignment.
 *
 * @param seconds duration of each job
 * @param before for each machine the indices of its jobs
 * @returns for each machine the indices of its jobs, longest first; equal jobs in their order
 */
export function balance(
  seconds: readonly number[],
  machines: readonly Machine[],
  before?: readonly (readonly number[])[],
): number[][] {
  const busy = machines.map((machine) => machine.busy);
  const order = seconds.map((_, job) => job).sort((a, b) => seconds[b]! - seconds[a]! || a - b);
  const empty = (): Assignment => ({ seconds, jobs: machines.map(() => []), loads: [...busy] });
  let best = improved(deal(empty(), order));
  if (before !== undefined) {
    const kept = empty();
    for (const [machine, jobs] of before.entries()) for (const job of jobs) give(kept, job, machine);
    improved(kept);
    if (end(kept) <= end(best)) best = kept;
  }
  const soonest = Math.min(...busy) + (seconds[order[0]!] ?? 0);
  // What a machine is busy with counts as a job.
  const bound = makespanBound([...seconds, ...busy], machines.length);
  const enough = Math.max(bound, soonest) * (1 + GOOD_ENOUGH);
  const random = randomStream({ seed: 0, purpose: 'assignment of members', epoch: 0, sample: 0 });
  const rounds = Math.min(ROUNDS, Math.ceil(MOST_ROUND_JOBS / seconds.length));
  for (let round = 0; round < rounds && end(best) > enough; round++) {
    const full = best.loads.indexOf(end(best));
    const others = 1 + random.integer(Math.min(3, machines.length - 1));
    const mixed = new Set([full, ...Array.from({ length: others }, () => random.integer(machines.length))]);
    const next: Assignment = {
      seconds,
      jobs: best.jobs.map((jobs, machine) => (mixed.has(machine) ? [] : [...jobs])),
      loads: best.loads.map((load, machine) => (mixed.has(machine) ? busy[machine]! : load)),
    };
    const taken = [...mixed].flatMap((machine) => best.jobs[machine]!);
    const keys = new Map(taken.map((job) => [job, random.uniform()]));
    deal(next, taken.sort((a, b) => keys.get(a)! - keys.get(b)!), mixed); // prettier-ignore
    improved(next);
    if (end(next) <= end(best)) best = next;
  }
  for (const own of best.jobs) own.sort((a, b) => seconds[b]! - seconds[a]! || a - b);
  return best.jobs;
}

const end = ({ loads }: Assignment) => Math.max(...loads);

function give({ seconds, jobs, loads }: Assignment, job: number, machine: number) {
  jobs[machine]!.push(job);
  loads[machine]! += seconds[job]!;
}

/** Gives each job in this order to the machine, one of these, that is free earliest. */
function deal(assignment: Assignment, order: readonly number[], among?: ReadonlySet<number>): Assignment {
  const { loads } = assignment;
  const machines = among ? [...among] : [...loads.keys()];
  for (const job of order)
    give(assignment, job, machines.reduce((a, b) => (loads[b]! < loads[a]! ? b : a))); // prettier-ignore
  return assignment;
}

function improved(assignment: Assignment): Assignment {
  for (let i = 0; i < MOST_IMPROVEMENTS && improve(assignment); i++);
  return assignment;
}

interface Assignment {
  seconds: readonly number[];
  jobs: number[][];
  loads: number[];
}

/** Takes the best move or exchange of jobs between the fullest machine and another one; false if none helps. */
function improve({ seconds, jobs, loads }: Assignment): boolean {
  const full = loads.indexOf(Math.max(...loads));
  const before = loads[full]!;
  let best = { higher: before * (1 - 1e-9), machine: -1, own: -1, other: -1 };
  const owns = oneOfEach(seconds, jobs[full]!);
  for (let machine = 0; machine < jobs.length; machine++) {
    if (machine === full) continue;
    const others = oneOfEach(seconds, jobs[machine]!);
    for (const own of owns) {
      // other = −1: the job is moved and none comes back.
      for (const other of [-1, ...others]) {
        const given = seconds[jobs[full]![own]!]! - (other < 0 ? 0 : seconds[jobs[machine]![other]!]!);
        if (given <= 0) continue;
        const higher = Math.max(before - given, loads[machine]! + given);
        if (higher < best.higher) best = { higher, machine, own, other };
      }
    }
  }
  const { machine, own, other } = best;
  if (machine < 0) return false;
  const [given] = jobs[full]!.splice(own, 1) as [number];
  const taken = other < 0 ? [] : jobs[machine]!.splice(other, 1);
  jobs[machine]!.push(given);
  jobs[full]!.push(...taken);
  const change = seconds[given]! - (taken.length === 0 ? 0 : seconds[taken[0]!]!);
  loads[full]! -= change;
  loads[machine]! += change;
  return true;
}

/** The places of the first job of each duration: hundreds of members of one architecture have equal durations. */
function oneOfEach(seconds: readonly number[], jobs: readonly number[]): number[] {
  const known = new Set<number>();
  const places: number[] = [];
  for (let place = 0; place < jobs.length; place++) {
    const duration = seconds[jobs[place]!]!;
    if (known.has(duration)) continue;
    known.add(duration);
    places.push(place);
  }
  return places;
}

/**
 * A makespan that no schedule of these jobs on so many equal machines can be below. It is the largest of
 * - the sum of the durations divided by the machines;
 * - the longest job;
 * - for every k ≥ 1: among the k·m + 1 longest jobs one machine has at least k + 1, which take at least as long as the k + 1
 *   shortest of them. For equal jobs that is ⌈n / m⌉ · p.
 */
export function makespanBound(seconds: readonly number[], machines: number): number {
  const sorted = [...seconds].sort((a, b) => b - a);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  let bound = Math.max(sum(sorted) / machines, sorted[0] ?? 0);
  for (let k = 1; k * machines < sorted.length; k++)
    bound = Math.max(bound, sum(sorted.slice(k * machines - k, k * machines + 1)));
  return bound;
}
