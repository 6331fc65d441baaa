// Decides which member runs on which device and when, and what follows a failure. It knows no files, threads or processes:
// what runs a member and what tells the time are parameters.
import { messageOf, UserError } from '@ct-ensemble/core';
import { balance } from './balance.ts';
import type { Clock } from './clock.ts';

/** A member to be trained, as far as the scheduler knows it. */
export interface Job {
  name: string;
  /** Expected duration; undefined: unknown. */
  seconds?: number | undefined;
  /** Expected peak memory on the device; undefined: unknown. */
  memoryBytes?: number | undefined;
  /** Name of the device that is preferred where jobs are otherwise equal. */
  device?: string | undefined;
  /** Scans per optimizer step. Default 1, which cannot be halved. */
  batchSize?: number | undefined;
  /** Micro-batches in which a step is computed at the first attempt; divides batchSize. Default 1. */
  accumulate?: number | undefined;
}

/** A device, and how many members train on it at the same time. */
export interface DeviceSlot {
  device: string;
  /** Members that train at the same time; 1 or more. */
  members: number;
  /** Memory for the members that run at the same time; undefined: not checked. */
  memoryBytes?: number | undefined;
  /** Slots of the same pool share one memory, as CPU devices do; its size is the memoryBytes of the pool's first slot. */
  pool?: string | undefined;
}

/** One member's share of a device. */
export interface Lease {
  device: string;
  /** Index of the slot in `ScheduleOptions.devices`. */
  slot: number;
  /** From 0: which of the slot's members. */
  share: number;
}

export type FailureKind = 'exception' | 'out-of-memory' | 'signal' | 'exit' | 'user';

/**
 * Why an attempt failed. What `run` throws has these fields. Of other errors, a UserError is of kind `user`, and any other one an
 * exception without progress.
 */
export interface Failure {
  reason: string;
  kind: FailureKind;
  /** A checkpoint was written that is newer than the start of the attempt. */
  progressed: boolean;
}

export interface Attempt {
  lease: Lease;
  /** From 1. */
  attempt: number;
  /** Micro-batches in a step. */
  accumulate: number;
}

export interface RetryPolicy {
  /** Seconds to wait before each attempt that follows a failure without progress; when they are used up, the job has failed. */
  waits: readonly number[];
}

/** Three attempts more, after 1, 4 and 16 seconds. */
export const RETRY: RetryPolicy = { waits: [1, 4, 16] };

export type ScheduleEvent = { name: string } & (
  | ({ kind: 'started' } & Attempt)
  | {
      kind: 'waiting-to-retry';
      failure: Failure;
      /** The attempt that failed, from 1. */
      attempt: number;
      /** Seconds until the next attempt. */
      wait: number;
      /** Micro-batches of the next attempt. After a lack of memory they are more than before. */
      accumulate: number;
    }
  | { kind: 'done' }
  | { kind: 'stopped' }
  | { kind: 'failed'; failure: Failure }
);

export interface JobOutcome {
  name: string;
  status: 'done' | 'stopped' | 'failed';
  /** Attempts that were started. */
  attempts: number;
  /** Micro-batches of the last attempt. */
  accumulate: number;
  /** Why it failed; only with status failed. */
  failure?: Failure;
}

export interface ScheduleOptions {
  jobs: readonly Job[];
  devices: readonly DeviceSlot[];
  clock: Clock;
  /** Runs one attempt of a job until it is done or stopped; failures are thrown, see `Failure`. */
  run(job: Job, attempt: Attempt): Promise<'done' | 'stopped'>;
  /** Default: `RETRY`. */
  retry?: RetryPolicy;
  /** After an abort no attempt is started; `run` must end the running ones by itself. */
  signal?: AbortSignal;
  onEvent?: (event: ScheduleEvent) => void;
  /** Seconds that a running job still needs, if its progress tells them. Default: expected duration minus elapsed time. */
  secondsLeft?: (name: string) => number | undefined;
}

/** A job that is not at its end. */
interface OpenJob {
  job: Job;
  /** Its place in the plan. */
  order: number;
  attempts: number;
  accumulate: number;
  /** Failures since the last progress. */
  fruitless: number;
}

interface RunningJob extends OpenJob {
  lease: Lease;
  startedAt: number;
}

/**
 * Runs every job once it gets a lease, and returns how each ended, in the order of `jobs`.
 *
 * The assignment is planned anew whenever a lease is free: the longest expected durations first, then improved by exchanges,
 * see `balance`; it takes the running jobs into account. A job of unknown duration counts as the longest. Where durations do
 * not decide, jobs that prefer the free device go first, then the plan's order counts.
 *
 * A job starts beside others only if its memory fits into what they leave; a job that would not even fit alone fails.
 *
 * A failure of kind `user` is final. After `out-of-memory` the job starts again with at least twice as many micro-batches, as
 * long as a micro-batch holds more than one scan. After any other failure it starts again after a wait, unless its waits are
 * used up; progress resets their number. Other jobs use the lease in the meantime.
 *
 * @throws what `onEvent` throws, after the running jobs have ended; no job is started after that
 */
export async function schedule(options: ScheduleOptions): Promise<JobOutcome[]> {
  const { jobs, devices, clock, signal, retry = RETRY } = options;
  const outcomes = new Map<string, JobOutcome>();
  const waiting: OpenJob[] = jobs.map((job, order) => ({
    job,
    order,
    attempts: 0,
    accumulate: job.accumulate ?? 1,
    fruitless: 0,
  }));
  const running = new Set<RunningJob>();
  /** Attempts and waits for the next attempt; none of these promises rejects. */
  const pending = new Set<Promise<void>>();
  const leases = devices.flatMap(({ device, members }, slot) =>
    Array.from({ length: members }, (_, share): Lease => ({ device, slot, share })),
  );
  /** The assignment that was planned last: for each lease the places of its jobs in `jobs`. */
  let assigned: number[][] | undefined;
  const errors: unknown[] = [];
  const track = (work: Promise<void>) => {
    const tracked: Promise<void> = work
      .catch((error: unknown) => void errors.push(error))
      .finally(() => pending.delete(tracked));
    pending.add(tracked);
  };
  const end = ({ job: { name }, attempts, accumulate }: OpenJob, ended: Ending) => {
    outcomes.set(name, { name, attempts, accumulate, ...ended });
    options.onEvent?.(
      ended.status === 'failed'
        ? { name, kind: 'failed', failure: ended.failure }
        : { name, kind: ended.status },
    );
  };

  const attempt = async (open: OpenJob, lease: Lease) => {
    const started: RunningJob = { ...open, attempts: open.attempts + 1, lease, startedAt: clock.now() };
    running.add(started);
    const { attempts, accumulate, job } = started;
    try {
      const about: Attempt = { lease, attempt: attempts, accumulate };
      options.onEvent?.({ name: job.name, kind: 'started', ...about });
      const result = await ended(() => options.run(job, about));
      running.delete(started);
      if (typeof result === 'string') return end(started, { status: result });
      const failure = result;
      const next = nextAttempt(started, failure, retry);
      if (next === undefined) return end(started, { status: 'failed', failure });
      const { wait, ...again } = next;
      options.onEvent?.({
        name: job.name,
        kind: 'waiting-to-retry',
        failure,
        attempt: attempts,
        wait,
        accumulate: again.accumulate,
      });
      // The lease is free from here on; the loop below sees that when this promise settles.
      track(
        clock
          .sleep(wait, signal)
          .then(() => void waiting.push({ ...again, job, order: open.order, attempts })),
      );
    } finally {
      running.delete(started);
    }
  };

  for (;;) {
    try {
      if (signal?.aborted) for (const open of waiting.splice(0)) end(open, { status: 'stopped' });
      if (errors.length === 0) dispatch();
    } catch (error) {
      errors.push(error);
    }
    if (pending.size === 0) break;
    await Promise.race(pending);
  }
  if (errors.length > 0) throw errors[0];
  return jobs.map(({ name }) => outcomes.get(name)!);

  /** Starts jobs as long as a lease is free for one. */
  function dispatch() {
    for (const open of waiting.filter(
      ({ job }) => !devices.some((_, slot) => roomIn(slot, true) >= bytesOf(job)),
    )) {
      waiting.splice(waiting.indexOf(open), 1);
      end(open, { status: 'failed', failure: tooLarge(open.job) });
    }
    for (;;) {
      const next = nextStart();
      if (next === undefined) return;
      waiting.splice(waiting.indexOf(next.open), 1);
      track(attempt(next.open, next.lease));
    }
  }

  function nextStart(): { open: OpenJob; lease: Lease } | undefined {
    const isFree = ({ slot, share }: Lease) =>
      ![...running].some(({ lease }) => lease.slot === slot && lease.share === share);
    const ready = [...waiting].sort((a, b) => a.order - b.order);
    const free = leases.filter(isFree);
    if (ready.length === 0 || free.length === 0) return undefined;
    const seconds = expectedSeconds(ready);
    const now = clock.now();
    const indexOf = new Map(ready.map((open, job) => [open.order, job]));
    const before = assigned?.map((orders) => orders.flatMap((order) => indexOf.get(order) ?? []));
    const isWhole = before !== undefined && new Set(before.flat()).size === ready.length;
    const planned = balance(
      seconds,
      leases.map((lease) => ({ busy: isFree(lease) ? 0 : secondsLeft(lease, now) })),
      isWhole ? before : undefined,
    );
    assigned = planned.map((jobs) => jobs.map((job) => ready[job]!.order));
    for (const lease of free) {
      const fits = ({ job }: OpenJob) => bytesOf(job) <= roomIn(lease.slot);
      const byLength = ready.map((_, job) => job).sort((a, b) => seconds[b]! - seconds[a]!);
      const own = planned[leases.indexOf(lease)]!;
      const first = [...own, ...byLength].find((job) => fits(ready[job]!));
      if (first === undefined) continue;
      // Jobs of the same duration are equal to the scheduler, whichever lease the plan gave them.
      const equal = ready.filter((open, job) => seconds[job] === seconds[first] && fits(open));
      const chosen = equal.find(({ job }) => job.device === lease.device) ?? equal[0]!;
      // The plan stays valid for the other leases if the two jobs change their places in it.
      const places = new Map([
        [chosen.order, ready[first]!.order],
        [ready[first]!.order, chosen.order],
      ]);
      assigned = assigned.map((orders) => orders.map((order) => places.get(order) ?? order));
      return { open: chosen, lease };
    }
    return undefined;
  }

  function secondsLeft(lease: Lease, now: number): number {
    const { job, startedAt } = [...running].find((each) => each.lease === lease)!;
    const measured = options.secondsLeft?.(job.name);
    return Math.max(0, measured ?? (job.seconds ?? 0) - (now - startedAt));
  }

  /** Bytes that the slot has for one more job; `empty`: if none were running. */
  function roomIn(slot: number, empty = false): number {
    const { pool } = devices[slot]!;
    const shares = (other: number) => other === slot || (pool !== undefined && devices[other]!.pool === pool);
    const bytes = devices.find((_, other) => shares(other))!.memoryBytes ?? Infinity;
    if (empty) return bytes;
    return [...running]
      .filter(({ lease }) => shares(lease.slot))
      .reduce((left, { job }) => left - bytesOf(job), bytes);
  }

  function tooLarge(job: Job): Failure {
    const most = Math.max(...devices.map((_, slot) => roomIn(slot, true)));
    const reason = `needs ${gibibytes(bytesOf(job))} of memory, and no device has more than ${gibibytes(most)} → raise training.accumulate or lower training.batchSize in the recipe`;
    return { reason, kind: 'user', progressed: false };
  }
}

type Ending = { status: 'done' | 'stopped' } | { status: 'failed'; failure: Failure };

/** How an attempt ended, also if it throws at once. */
async function ended(run: () => Promise<'done' | 'stopped'>): Promise<'done' | 'stopped' | Failure> {
  try {
    return await run();
  } catch (error) {
    return failureOf(error);
  }
}

const bytesOf = ({ memoryBytes = 0 }: Job) => memoryBytes;
const gibibytes = (bytes: number) => `${(bytes / 2 ** 30).toFixed(1)} GiB`;

/** Durations by which jobs are ordered: one that is unknown counts as the longest known one. */
function expectedSeconds(ready: readonly OpenJob[]): number[] {
  const longest = Math.max(0, ...ready.map(({ job }) => job.seconds ?? 0)) || 1;
  return ready.map(({ job }) => job.seconds ?? longest);
}

/** What follows the failure of an attempt; undefined: the job has failed. */
function nextAttempt(
  { job, accumulate, fruitless }: OpenJob,
  { kind, progressed }: Failure,
  { waits }: RetryPolicy,
): { wait: number; accumulate: number; fruitless: number } | undefined {
  if (kind === 'user') return undefined;
  const before = progressed ? 0 : fruitless;
  if (kind === 'out-of-memory') {
    const more = moreMicroBatches(job.batchSize ?? 1, accumulate);
    return more === undefined ? undefined : { wait: waits[0] ?? 0, accumulate: more, fruitless: before };
  }
  const wait = waits[before];
  return wait === undefined ? undefined : { wait, accumulate, fruitless: before + 1 };
}

/**
 * The smallest number of micro-batches, all of the same size, that is at least twice as large; undefined if a micro-batch is
 * one scan already.
 */
export function moreMicroBatches(batchSize: number, accumulate: number): number | undefined {
  for (let more = 2 * accumulate; more <= batchSize; more++) if (batchSize % more === 0) return more;
  return accumulate < batchSize ? batchSize : undefined;
}

const KINDS: readonly string[] = [
  'exception',
  'out-of-memory',
  'signal',
  'exit',
  'user',
] satisfies FailureKind[];

function failureOf(error: unknown): Failure {
  const { reason, kind, progressed } = (error ?? {}) as Partial<Failure>;
  return {
    reason: reason ?? messageOf(error),
    kind:
      kind !== undefined && KINDS.includes(kind) ? kind : error instanceof UserError ? 'user' : 'exception',
    progressed: progressed === true,
  };
}
