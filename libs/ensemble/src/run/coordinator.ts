// Trains the members of a run: gives them to the scheduler, runs each through a port, and keeps the files that say how it goes.
import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { fenced, messageOf, UserError } from '@ct-ensemble/core';
import { fileURLToPath } from 'node:url';
import type { Device } from '@ct-ensemble/engine';
import { lastCheckpoint, type Progress } from '@ct-ensemble/training';
import { type Clock, realClock } from './clock.ts';
import { slotsOf } from './devices.ts';
import { missingProbabilities, type PredictedSplit } from './member-probabilities.ts';
import { jobOf } from '../planning/describe.ts';
import type { Expectation } from '../planning/expectations.ts';
import { keepAccumulate, type MemberPlan, type Plan } from './plan.ts';
import {
  MemberFailure,
  type MemberObserver,
  type MemberPort,
  type MemberResult,
  type MemberTask,
} from './ports/port.ts';
import { processPort } from './ports/process.ts';
import { threadPort } from './ports/thread.ts';
import {
  type Attempt,
  type Failure,
  type Job,
  type RetryPolicy,
  schedule,
  type ScheduleEvent,
} from './schedule.ts';
import { paces } from './seconds-left.ts';
import type { SliceDraws } from './slice-draws.ts';
import { statusFiles } from './status-files.ts';
import type { TestTimeAugmentation } from './test-time-augmentation.ts';
import { doneFile, memberFolder, sweepMember } from '../run-folder.ts';
import { readAllScans, readConfig, readDone, scansOf } from '../run-records.ts';
import type { Isolation } from '../run-status.ts';

export interface CoordinatorOptions {
  run: string;
  plan: Plan;
  devices: readonly Device[];
  /** What members need; see `expectMembers`. Default: nothing is known, and they are trained in the plan's order. */
  expected?: readonly Expectation[];
  /** Folder of the volume store. */
  store: string;
  /** Whether members run in threads of this process or in processes of their own. Default: thread. */
  isolation?: Isolation;
  /** Seconds between checkpoints inside an epoch; 0: only at the end of each epoch. Default: that of `trainMember`. */
  checkpointSeconds?: number;
  onEvent?: (event: MemberEvent) => void;
  /** Aborting asks every member to stop after its present step. */
  signal?: AbortSignal;
  /**
   * Trains this member alone, as a job of a cluster does: coordinator.json and plan.json, which are of the whole run, are not
   * written. Default: all members of the plan.
   */
  only?: string;
  /** The job of a cluster that trains the member, such as `12_3`. */
  job?: string;
  /** Trains no member: only the missing probabilities of trained members are made. Default: false. */
  predictOnly?: boolean;
  /** With `predictOnly`: makes the missing probabilities with this test-time augmentation, too. Default: none. */
  augmentation?: TestTimeAugmentation;
  /** The volumes of the augmentation's further draws of slices. */
  draws?: readonly SliceDraws[];
  /** The worker's module, for tests; see `MemberWork`. */
  worker?: string;
  /** What runs the members, for tests. Default: that of `isolation`. */
  port?: MemberPort;
  /** When a member is tried again; for tests. */
  retry?: RetryPolicy;
  clock?: Clock;
}

export type MemberEvent = { member: string } & (
  | { kind: 'skipped'; macroF1: number | null }
  /** Is not trained, and shall not be: see `predictOnly`. */
  | { kind: 'untrained' }
  /** `splits`: a trained member whose probabilities for these splits are missing, and are made from its best weights. */
  | {
      kind: 'started';
      device: string;
      attempt: number;
      splits?: readonly PredictedSplit[];
      /** The same for probabilities with test-time augmentation. */
      augmented?: readonly PredictedSplit[];
    }
  | { kind: 'progress'; progress: Progress }
  /** Something that the user should know of, which does not stop the member. */
  | { kind: 'note'; note: string }
  /** An attempt failed; the next one starts after so many seconds. */
  | { kind: 'retrying'; reason: string; attempt: number; wait: number }
  | { kind: 'done'; macroF1: number | null }
  | { kind: 'stopped' }
  | { kind: 'failed'; reason: string }
);

export interface MemberOutcome {
  member: string;
  status: 'done' | 'failed' | 'stopped' | 'untrained';
  macroF1: number | null;
  /** Attempts that were started; 0 if there was nothing to do. */
  attempts: number;
  /** Why it failed. */
  reason?: string;
  /** The last lines of a failed worker's standard error, if the failure is not the user's to fix. */
  stderrTail?: string;
  /** What the user should know of beside that, such as the reasons of earlier attempts' failures. */
  notes: string[];
}

/**
 * Trains every member that is not done yet, predicts with members that are done and whose probabilities are missing, and
 * returns how each ended, in the plan's order. A member that fails, or whose files cannot be read or written, does not stop
 * the others. A failed attempt is repeated as `schedule` says.
 */
export async function trainMembers(options: CoordinatorOptions): Promise<MemberOutcome[]> {
  const { run, plan, devices, only, signal, isolation = 'thread', clock = realClock } = options;
  const members = chosenMembers(options);
  const outcomes = new Map<string, MemberOutcome>();
  const notes = new Map(members.map(({ name }): [string, string[]] => [name, []]));
  const attempts = new Map<string, number>();
  const failures = new Map<string, MemberFailure>();
  const pace = paces(() => clock.now());
  const report = (event: MemberEvent) => {
    const { member } = event;
    if (event.kind === 'note') notes.get(member)!.push(event.note);
    if (event.kind === 'progress') pace.progress(member, event.progress);
    if (event.kind === 'started') {
      attempts.set(member, event.attempt);
      pace.started(member);
    }
    const outcome = outcomeOf(event);
    const stderrTail = event.kind === 'failed' ? failures.get(member)?.stderrTail : undefined;
    if (outcome)
      outcomes.set(member, {
        ...outcome,
        attempts: attempts.get(member) ?? 0,
        ...(stderrTail && { stderrTail }),
        notes: notes.get(member)!,
      });
    options.onEvent?.(event);
  };
  const { jobs, missing, missingAugmented, damaged } = await openMembers(options, report);
  const slots = slotsOf(devices);
  const status = statusFiles({ run, isolation, slots, isWholeRun: only === undefined, report });
  for (const [member, error] of damaged) {
    status.failed(member, { failure: userFailure(error), attempt: 1, task: undefined });
    report({ member, kind: 'failed', reason: messageOf(error) });
  }
  const port = options.port ?? (isolation === 'thread' ? threadPort() : processPort());
  const results = new Map<string, MemberResult>();
  const tasks = new Map<string, MemberTask>();
  /** Changes of plan.json, one after the other. */
  let kept = Promise.resolve();

  const runJob = async ({ name }: Job, { lease, attempt, accumulate }: Attempt) => {
    await status.written();
    const splits = missing.get(name);
    const augmented = missingAugmented.get(name);
    const member = await withAccumulate(
      plan.members.find((each) => each.name === name)!,
      accumulate,
    );
    const task: MemberTask = {
      run,
      plan,
      member,
      device: devices[lease.slot]!,
      deviceName: lease.device,
      store: options.store,
      ...(splits && { splits }),
      ...(augmented &&
        options.augmentation && {
          augmented: { by: options.augmentation, splits: augmented, volumes: drawsOf(options, name) },
        }),
      attempt,
      isolation,
      ...(options.job !== undefined && { job: options.job }),
      ...(options.checkpointSeconds !== undefined && { checkpointSeconds: options.checkpointSeconds }),
      // The built worker, from src/ and dist/ alike: Node runs no TypeScript before 22.18.
      worker: options.worker ?? fileURLToPath(new URL('../../dist/run/worker.js', import.meta.url)),
    };
    tasks.set(name, task);
    const observer: MemberObserver = {
      progress: (progress) => report({ member: name, kind: 'progress', progress }),
      note: (note) => report({ member: name, kind: 'note', note }),
    };
    const before = await checkpointOf(run, name);
    const running = port.start(task, observer);
    const stop = () => running.stop();
    signal?.addEventListener('abort', stop, { once: true });
    if (signal?.aborted) stop();
    try {
      const result = await running.result;
      results.set(name, result);
      return result.status;
    } catch (error) {
      const failure =
        error instanceof MemberFailure ? error : new MemberFailure(messageOf(error), { kind: 'exception' });
      failure.progressed = (await checkpointOf(run, name)) !== before;
      await sweepMember(run, name);
      failures.set(name, failure);
      throw failure;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  };

  /** Memory was too small for the micro-batches of the plan: the plan keeps what this attempt uses. */
  const withAccumulate = async (member: MemberPlan, accumulate: number): Promise<MemberPlan> => {
    if (accumulate === accumulateOf(plan, member)) return member;
    // Other jobs may write the plan at the same time. The worker keeps the number in config.json, too.
    if (only !== undefined) return { ...member, accumulate };
    kept = kept
      .then(() => keepAccumulate(run, member.name, accumulate))
      .catch((error: unknown) => {
        const note = `the plan could not keep its ${accumulate} micro-batches: ${messageOf(error)}`;
        report({ member: member.name, kind: 'note', note });
      });
    await kept;
    return { ...member, accumulate };
  };

  const onEvent = (event: ScheduleEvent) => {
    const { name: member } = event;
    status.event(event);
    switch (event.kind) {
      case 'started': {
        const splits = missing.get(member);
        const augmented = missingAugmented.get(member);
        const { attempt, lease } = event;
        const asked = { ...(splits && { splits }), ...(augmented && { augmented }) };
        return report({ member, kind: 'started', device: lease.device, attempt, ...asked });
      }
      case 'waiting-to-retry': {
        const { failure, attempt, wait, accumulate } = event;
        const { reason } = failure;
        const failed = { failure: failures.get(member)!, attempt, task: tasks.get(member) };
        status.failed(member, { ...failed, wait });
        report({ member, kind: 'note', note: `attempt ${attempt} failed: ${reason}` });
        if (failure.kind === 'out-of-memory')
          report({ member, kind: 'note', note: smallerMicroBatches(plan, accumulate) });
        return report({ member, kind: 'retrying', reason, attempt, wait });
      }
      case 'failed': {
        const failure = failures.get(member) ?? asFailure(event.failure);
        status.failed(member, { failure, attempt: attempts.get(member) ?? 1, task: tasks.get(member) });
        return report({ member, kind: 'failed', reason: event.failure.reason });
      }
      case 'done':
        return report({ member, kind: 'done', macroF1: results.get(member)!.macroF1 });
      case 'stopped':
        return report({ member, kind: 'stopped' });
      default:
        return event satisfies never;
    }
  };

  try {
    status.begin(jobs.map(({ name }) => name));
    await schedule({
      jobs,
      devices: slots,
      clock,
      run: runJob,
      onEvent,
      secondsLeft: (name) => pace.secondsLeft(name),
      ...(signal && { signal }),
      ...(options.retry && { retry: options.retry }),
    });
  } finally {
    status.end(signal?.aborted ? 'stopped' : 'ended');
    await status.written();
    await port.close();
  }
  return members.map(({ name }) => outcomes.get(name)!);
}

const chosenMembers = ({ plan, only }: CoordinatorOptions) =>
  plan.members.filter(({ name }) => only === undefined || name === only);

interface OpenMembers {
  jobs: Job[];
  /** The splits for which trained members are to predict. */
  missing: Map<string, PredictedSplit[]>;
  /** The same for probabilities with test-time augmentation. */
  missingAugmented: Map<string, PredictedSplit[]>;
  /** Members whose files cannot be used. */
  damaged: Map<string, unknown>;
}

/** What is to be done for the members. Reports those for which nothing is. */
async function openMembers(
  options: CoordinatorOptions,
  report: (event: MemberEvent) => void,
): Promise<OpenMembers> {
  const { run, plan } = options;
  const { classes } = plan.dataset;
  const open: OpenMembers = {
    jobs: [],
    missing: new Map(),
    missingAugmented: new Map(),
    damaged: new Map(),
  };
  /** Read once for all trained members, when the first one needs it. */
  let allScans: ReturnType<typeof readAllScans> | undefined;
  for (const member of chosenMembers(options)) {
    const { name, device } = member;
    try {
      const done = await doneOf(options, name);
      if (done === undefined && options.predictOnly) {
        report({ member: name, kind: 'untrained' });
        continue;
      }
      if (done !== undefined) {
        const scans = scansOf(await (allScans ??= readAllScans(run)), { run, member: name });
        const splits = await missingProbabilities(run, name, { scans, classes });
        const augmented =
          options.augmentation === undefined
            ? []
            : await missingProbabilities(run, name, { scans, classes, augmentation: options.augmentation });
        if (splits.length + augmented.length === 0) {
          report({ member: name, kind: 'skipped', macroF1: done.macroF1 });
          continue;
        }
        if (splits.length > 0) open.missing.set(name, splits);
        if (augmented.length > 0) open.missingAugmented.set(name, augmented);
      }
      const { batchSize } = plan.recipe.training;
      const expected = options.expected?.find((each) => each.member === name);
      open.jobs.push({
        ...(expected && jobOf(expected)),
        name,
        device,
        batchSize,
        accumulate: Math.max(accumulateOf(plan, member), await accumulateKept(run, name)),
      });
    } catch (error) {
      open.damaged.set(name, error);
    }
  }
  return open;
}

const drawsOf = ({ draws = [] }: CoordinatorOptions, member: string) =>
  draws.find(({ members }) => members.includes(member))?.volumes ?? {};

const accumulateOf = (plan: Plan, member: MemberPlan) =>
  member.accumulate ?? plan.recipe.training.accumulate ?? 1;

/** Micro-batches that the latest attempt trained with, by config.json; 1 if that is not known. */
async function accumulateKept(run: string, member: string): Promise<number> {
  const config = await readConfig(run, member).catch(() => undefined); // The worker reports a damaged file.
  return config?.training?.accumulate ?? 1;
}

/**
 * What done.json says of a member that is trained; undefined if it is not. A member with fewer epochs than the recipe has is
 * not done until it has them too: unless none is to be trained, its done.json is removed.
 */
async function doneOf({ run, plan, predictOnly = false }: CoordinatorOptions, member: string) {
  const done = await readDone(run, member);
  if (done === undefined || done.epochs >= plan.recipe.training.epochs) return done;
  // Without the last checkpoint it cannot be trained on: the worker refuses that.
  const isContinuable = existsSync(lastCheckpoint(memberFolder(run, member)));
  if (!predictOnly && isContinuable) await fenced.rm(doneFile(run, member));
  return undefined;
}

/** Tells a member's last checkpoint from earlier and later ones; they are renamed into their place. */
async function checkpointOf(run: string, member: string): Promise<string> {
  const about = await stat(lastCheckpoint(memberFolder(run, member))).catch(() => undefined);
  return about === undefined ? '' : `${about.ino} ${about.mtimeMs}`;
}

const smallerMicroBatches = ({ recipe: { training } }: Plan, accumulate: number) =>
  `goes on with micro-batches of ${training.batchSize / accumulate} scans, ${accumulate} in each step of ${training.batchSize}. ` +
  'Batch normalisation sees micro-batches, so its files are no longer byte for byte those of a run with enough memory.';

const userFailure = (error: unknown) =>
  new MemberFailure(messageOf(error), { kind: error instanceof UserError ? 'user' : 'exception' });

const asFailure = ({ reason, kind }: Failure) => new MemberFailure(reason, { kind });

/** How a member ended, if the event says so. */
function outcomeOf(event: MemberEvent): Omit<MemberOutcome, 'notes' | 'attempts'> | undefined {
  const { member } = event;
  switch (event.kind) {
    case 'started':
    case 'progress':
    case 'note':
    case 'retrying':
      return undefined;
    case 'untrained':
      return { member, status: 'untrained', macroF1: null };
    case 'skipped':
    case 'done':
      return { member, status: 'done', macroF1: event.macroF1 };
    case 'stopped':
      return { member, status: 'stopped', macroF1: null };
    case 'failed':
      return { member, status: 'failed', macroF1: null, reason: event.reason };
    default:
      return event satisfies never;
  }
}
