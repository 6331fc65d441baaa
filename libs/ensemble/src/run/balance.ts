// Distributes jobs of known durations over machines so that the last one ends early; bounds for how early that can be.

export interface Machine {
  /** Seconds until the machine is free. */
  busy: number;
}

/** Improvements of one assignment at most; each makes the fullest machine less full, and few are ever needed. */
const MOST_IMPROVEMENTS = 500;

/**
 * Assigns jobs to machines: the longest job first, each to the machine that is free earliest (LPT), then jobs are moved and
 * exchanged as long as that makes the fullest machine end earlier.
 *
 * @param seconds duration of each job
 * @returns for each machine the indices of its jobs, longest first; equal jobs in their order
 */
export function balance(seconds: readonly number[], machines: readonly Machine[]): number[][] {
  const loads = machines.map(({ busy }) => busy);
  const jobs = machines.map((): number[] => []);
  const order = seconds.map((_, job) => job).sort((a, b) => seconds[b]! - seconds[a]! || a - b);
  for (const job of order) {
    const machine = loads.indexOf(Math.min(...loads));
    jobs[machine]!.push(job);
    loads[machine]! += seconds[job]!;
  }
  for (let i = 0; i < MOST_IMPROVEMENTS && improve({ seconds, jobs, loads }); i++);
  for (const own of jobs) own.sort((a, b) => seconds[b]! - seconds[a]! || a - b);
  return jobs;
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
  for (let machine = 0; machine < jobs.length; machine++) {
    if (machine === full) continue;
    for (let own = 0; own < jobs[full]!.length; own++) {
      // other = −1: the job is moved and none comes back.
      for (let other = -1; other < jobs[machine]!.length; other++) {
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
