// The state of a whole run from its files alone: for another process, after the end, and for runs of earlier versions.
import { type ClaimHolder, claimHolder, codeOf, messageOf, openRegularFile } from '@ct-ensemble/core';
import { mapConcurrent } from '@ct-ensemble/data';
import {
  configFile,
  doneFile,
  failedFile,
  logFile,
  memberFolder,
  planFile,
  progressFile,
} from '../run-folder.ts';
import { type MemberPlan, readPlan, readPlanIfPresent } from '../run/plan.ts';
import { type DoneRecord, readConfig, readDone } from '../run-records.ts';
import {
  type CoordinatorRecord,
  type FailedRecord,
  type Isolation,
  type ProgressRecord,
  readCoordinator,
  readFailed,
  readProgress,
} from '../run-status.ts';
import {
  clusterReader,
  type ClusterJobState,
  type ClusterState,
  isWaiting,
  waitingMessage,
} from './cluster.ts';
import { isOnNode, isQueued } from '../cluster/queue.ts';
import { type EpochLine, historyReader, type StampedHistory } from './history.ts';
import { type StampedFiles, stampedFiles } from './stamped-files.ts';
import { timeLeft } from './time-left.ts';

export const memberStates = [
  'starting',
  'training',
  'predicting',
  'waiting-to-retry',
  'waiting',
  'interrupted',
  'stopped',
  'failed',
  'not-started',
  'done',
] as const;

/**
 * `waiting`: for a device, while the run is trained, or for its job in the queue of a cluster. `interrupted`: it was at work when its process or the coordinator ended
 * without a word. `stopped`: on request. `not-started`: nothing trains the run, and this member has no epoch yet.
 */
export type MemberState = (typeof memberStates)[number];

/** Members in these states are at work. */
export const isActive = (state: MemberState): boolean =>
  state === 'starting' || state === 'training' || state === 'predicting';

export interface MemberStatus {
  name: string;
  architecture: string;
  seed: number;
  /** Counts from 1; null without folds. */
  fold: number | null;
  state: MemberState;
  /** Where it runs or ran; null if it has not run yet. */
  device: string | null;
  attempt: number | null;
  /** Epoch being trained, or the last finished one; counts from 1; 0 before the first. */
  epoch: number;
  epochs: number;
  step: number | null;
  stepsPerEpoch: number | null;
  /** Share of its training that is finished, 0 to 1. */
  finished: number;
  loss: number | null;
  /** Of the last finished epoch on the validation scans. */
  macroF1: number | null;
  best: number | null;
  /** Counts from 1. */
  bestEpoch: number | null;
  /** Scans per second; null unless it is training. */
  samplesPerSecond: number | null;
  secondsLeft: number | null;
  /** Mean over its finished epochs, as far as their durations are known; null if none is. */
  secondsPerEpoch: number | null;
  peakMemoryBytes: number | null;
  /** Micro-batches in a step. */
  accumulate: number | null;
  /** ISO 8601. */
  startedAt: string | null;
  updatedAt: string | null;
  /** Why it failed, waits or was stopped. */
  message: string | null;
}

/**
 * `running`: a live coordinator, or a job of a cluster, trains the run. `busy`: another command is at work in the folder, or the
 * training is still preparing. `queued`: no member is trained at present, and jobs wait in the queue of a cluster.
 * `interrupted`: the coordinator, or every job, ended without a word.
 */
export type RunState = 'running' | 'busy' | 'queued' | 'ended' | 'stopped' | 'interrupted' | 'not-started';

export interface RunStatus {
  /** Folder of the run. */
  run: string;
  /** Name of the recipe. */
  recipe: string;
  state: RunState;
  /** Process that trains or last trained the run; null for runs of earlier versions. */
  coordinator: {
    pid: number;
    host: string;
    isolation: Isolation;
    startedAt: string;
    updatedAt: string;
  } | null;
  /** Jobs of a run that was submitted to a cluster; null for other runs. */
  jobs: ClusterJobState[] | null;
  /** Devices of the live coordinator with the members on them; of another run only those of its plan. */
  devices: { name: string; members: string[] }[];
  /** Number of members in each state. */
  counts: Record<MemberState, number>;
  /** Share of the whole training that is finished, 0 to 1. */
  finished: number;
  /** Sum over the members that are training. */
  samplesPerSecond: number | null;
  /** Estimate until the last member ends; null if it is not known or nothing trains the run. */
  secondsLeft: number | null;
  /** Members that are not done. */
  missing: string[];
  members: MemberStatus[];
  /** Files of the run that could not be read; what they say is missing above. */
  problems: string[];
  /** Time of this status, ISO 8601. */
  at: string;
}

/** Reads a run again and again; files that have not changed are not read again. */
export interface RunReader {
  /** @throws {UserError} if there is no run, or its plan is damaged. */
  status(): Promise<RunStatus>;
  /** Finished epochs of a member, and a stamp that changes with them. */
  history(member: string): Promise<StampedHistory>;
}

export interface RunReaderOptions {
  /** The jobs of a run on a cluster. Default: those that squeue lists. */
  cluster?: () => Promise<ClusterState | undefined>;
}

/** The state of a run now. @throws {UserError} if there is no run, or its plan is damaged. */
export const runStatus = (run: string): Promise<RunStatus> => runReader(run).status();

export function runReader(run: string, { cluster = clusterReader(run) }: RunReaderOptions = {}): RunReader {
  const files = stampedFiles();
  const history = historyReader(run, files);
  return { history, status: () => statusOf(run, { files, history, cluster }) };
}

/** What is read of a plan here; a run whose plan its preparation has not written yet has it from the record of its jobs. */
interface PlanView {
  recipe: string;
  epochs: number;
  devices: readonly string[];
  members: readonly Pick<MemberPlan, 'name' | 'architecture' | 'seed' | 'fold'>[];
}

async function planView(
  run: string,
  { files, planned }: { files: StampedFiles; planned: PlanView | undefined },
): Promise<PlanView & { isPrepared: boolean }> {
  const known = (await files.get(planFile(run), () => readPlanIfPresent(run))).value;
  if (known === undefined && planned !== undefined) return { ...planned, isPrepared: false };
  const plan = known ?? (await readPlan(run));
  const { recipe, devices, members } = plan;
  return { recipe: recipe.name, epochs: recipe.training.epochs, devices, members, isPrepared: true };
}

/** Members whose files are read at the same time. */
const MEMBERS_AT_ONCE = 16;

interface Found {
  member: PlanView['members'][number];
  done: DoneRecord | undefined;
  failed: FailedRecord | undefined;
  progress: ProgressRecord | undefined;
  history: EpochLine[];
  /** From config.json, which runs of earlier versions have too. */
  device: string | null;
  /** The claim of a job of a cluster that trains the member. */
  owner: ClaimHolder | undefined;
  /** Its job of a cluster, as far as the queue has one. */
  job: ClusterJobState | undefined;
  /** Files that could not be read. */
  problems: string[];
}

async function statusOf(
  run: string,
  {
    files,
    history,
    cluster,
  }: { files: StampedFiles } & Pick<RunReader, 'history'> & Required<RunReaderOptions>,
): Promise<RunStatus> {
  // The queue is asked before the files are read: a member that ends in between is done by its files.
  const submitted = await cluster();
  const problems: string[] = [...(submitted?.problems ?? [])];
  const attempt = async <T>(read: Promise<T | undefined>) => {
    try {
      return await read;
    } catch (error) {
      problems.push(messageOf(error));
      return undefined;
    }
  };
  // In this order: a coordinator that ends in between has written its last files before it gives up the claim.
  const holder = await attempt(claimHolder(run));
  const coordinator = await attempt(readCoordinator(run));
  const plan = await planView(run, { files, planned: submitted?.planned });
  if (!plan.isPrepared && !submitted?.jobs.some((job) => job.kind === 'prepare' && isQueued(job)))
    problems.push(
      'the run is not prepared, and no job prepares it: the same trainer:all-members command submits one',
    );
  const live = holder?.isAlive && isHeldBy(coordinator, holder) ? coordinator : undefined;
  const jobs = new Map(submitted?.jobs.map((job) => [job.member, job]));
  const found = await mapConcurrent(plan.members, MEMBERS_AT_ONCE, (member) =>
    findMember(run, { member, job: jobs.get(member.name), files, history }),
  );
  problems.push(...found.flatMap((each) => each.problems));
  const members = found.map((each) => memberStatus(each, { plan, live }));
  const counts = Object.fromEntries(
    memberStates.map((state) => [state, members.filter((member) => member.state === state).length]),
  ) as Record<MemberState, number>;
  const rates = members.flatMap(({ samplesPerSecond }) => samplesPerSecond ?? []);
  return {
    run,
    recipe: plan.recipe,
    state: runState({ holder, coordinator, live, members, jobs: submitted?.jobs ?? [] }),
    coordinator: coordinator ? describeCoordinator(coordinator) : null,
    jobs: submitted?.jobs ?? null,
    devices: live?.devices ?? plan.devices.map((name) => ({ name, members: [] })),
    counts,
    finished: members.reduce((sum, { finished }) => sum + finished, 0) / members.length,
    samplesPerSecond: rates.length === 0 ? null : rates.reduce((sum, rate) => sum + rate, 0),
    secondsLeft: live
      ? secondsLeftOf(
          members,
          live.devices.reduce((sum, { members }) => sum + Math.max(1, members.length), 0),
        )
      : secondsLeftOnCluster(members),
    missing: members.filter(({ state }) => state !== 'done').map(({ name }) => name),
    members,
    problems,
    at: new Date().toISOString(),
  };
}

/** Reads a member's files; what cannot be read is among the problems. */
async function findMember(
  run: string,
  {
    member,
    job,
    files,
    history,
  }: Pick<Found, 'member' | 'job'> & { files: StampedFiles; history: RunReader['history'] },
): Promise<Found> {
  const { name } = member;
  const problems: string[] = [];
  const read = async <T>(file: string, reading: () => Promise<T | undefined>) => {
    try {
      return (await files.get(file, reading)).value;
    } catch (error) {
      problems.push(messageOf(error));
      return undefined;
    }
  };
  const progress = await read(progressFile(run, name), () => readProgress(run, name));
  const config = () => read(configFile(run, name), () => readConfig(run, name));
  return {
    member,
    progress,
    done: await read(doneFile(run, name), () => readDone(run, name)),
    failed: await read(failedFile(run, name), () => readFailed(run, name)),
    history: (await history(name)).epochs,
    device: progress?.device ?? (await config())?.member.device ?? null,
    owner: await claimHolder(memberFolder(run, name)).catch((error: unknown) => {
      problems.push(messageOf(error));
      return undefined;
    }),
    job,
    problems,
  };
}

/** Whether the coordinator's record is of the process that holds the claim now, and not of an earlier one. */
const isHeldBy = (coordinator: CoordinatorRecord | undefined, { pid, host, claimedAt }: ClaimHolder) =>
  coordinator?.state === 'running' &&
  coordinator.pid === pid &&
  coordinator.host === host &&
  (claimedAt === null || Date.parse(coordinator.startedAt) >= Date.parse(claimedAt) - CLOCK_TOLERANCE);

/** Both times are of one process, whose clock may be set back in between. In milliseconds. */
const CLOCK_TOLERANCE = 5000;

const describeCoordinator = ({ pid, host, isolation, startedAt, updatedAt }: CoordinatorRecord) => ({
  pid,
  host,
  isolation,
  startedAt,
  updatedAt,
});

function runState({
  holder,
  coordinator,
  live,
  members,
  jobs,
}: {
  holder: ClaimHolder | undefined;
  coordinator: CoordinatorRecord | undefined;
  live: CoordinatorRecord | undefined;
  members: readonly MemberStatus[];
  jobs: readonly ClusterJobState[];
}): RunState {
  if (live !== undefined || members.some(({ state }) => isActive(state))) return 'running';
  if (jobs.some((job) => isOnNode(job))) return 'busy';
  if (jobs.some((job) => isQueued(job))) return 'queued';
  if (holder?.isAlive && coordinator?.pid !== holder.pid) return 'busy';
  if (members.every(({ state }) => state === 'done')) return 'ended';
  if (coordinator !== undefined) return coordinator.state === 'running' ? 'interrupted' : coordinator.state;
  const isAny = (wanted: MemberState) => members.some(({ state }) => state === wanted);
  if (isAny('stopped') && !isAny('interrupted')) return 'stopped';
  // A run of a cluster that was not stopped, or of an earlier version.
  if (members.every(({ state }) => state === 'not-started')) return 'not-started';
  return members.every(({ state }) => state === 'done' || state === 'failed') ? 'ended' : 'interrupted';
}

function memberStatus(
  found: Found,
  { plan, live }: { plan: PlanView; live: CoordinatorRecord | undefined },
): MemberStatus {
  const { member, done, progress, history, device } = found;
  const state = stateOf(found, live);
  const last = history.at(-1);
  const { epochs } = plan;
  // Steps of an epoch that was interrupted are trained again, or continued from a checkpoint that only the worker knows.
  const isMoving = state === 'training' && progress !== undefined;
  const steps = isMoving ? (progress.step ?? 0) / (progress.stepsPerEpoch || 1) : 0;
  const isLater = isMoving && (progress.epoch ?? 0) > history.length;
  const best = history.reduce<EpochLine | undefined>(
    (best, line) => (line.macroF1 !== null && line.macroF1 > (best?.macroF1 ?? -Infinity) ? line : best),
    undefined,
  );
  const bestEpoch = done?.bestEpoch ?? (best === undefined ? null : best.epoch + 1);
  return {
    name: member.name,
    architecture: member.architecture,
    seed: member.seed,
    fold: member.fold ?? null,
    state,
    device,
    attempt: progress?.attempt ?? null,
    epoch: state === 'done' ? (done?.epochs ?? epochs) : isLater ? progress.epoch! : history.length,
    epochs,
    step: isMoving ? progress.step : null,
    stepsPerEpoch: progress?.stepsPerEpoch ?? null,
    finished:
      state === 'done' || state === 'predicting'
        ? 1
        : Math.min(1, (history.length + (isLater ? steps : 0)) / epochs),
    loss: (isLater ? progress.loss : null) ?? last?.loss ?? null,
    macroF1: last?.macroF1 ?? null,
    best: done?.macroF1 ?? best?.macroF1 ?? null,
    bestEpoch,
    samplesPerSecond: isMoving ? progress.samplesPerSecond : null,
    secondsLeft: isMoving ? progress.secondsLeft : state === 'predicting' ? 0 : null,
    secondsPerEpoch: mean(history.flatMap(({ seconds }) => seconds ?? [])),
    peakMemoryBytes: progress?.peakMemoryBytes ?? null,
    accumulate: progress?.accumulate ?? null,
    startedAt: progress?.startedAt ?? null,
    updatedAt: progress?.updatedAt ?? null,
    message: messageFor(state, found),
  };
}

function stateOf(found: Found, live: CoordinatorRecord | undefined): MemberState {
  const { member, done, failed, progress, history } = found;
  const onCluster = live === undefined ? stateOnCluster(found) : undefined;
  if (onCluster !== undefined) return onCluster;
  // What an earlier coordinator's workers wrote says nothing about the present one's.
  const isPresent =
    progress !== undefined &&
    live !== undefined &&
    Date.parse(progress.updatedAt) >= Date.parse(live.startedAt) - CLOCK_TOLERANCE;
  if (live?.devices.some(({ members }) => members.includes(member.name))) {
    const isAtWork = isPresent && (progress.state === 'training' || progress.state === 'predicting');
    return isAtWork ? (progress.state as MemberState) : 'starting';
  }
  if (isPresent && progress.state === 'waiting-to-retry') return 'waiting-to-retry';
  if (live?.waiting.includes(member.name)) return 'waiting';
  if (done !== undefined) return 'done';
  // Before a further attempt there is a failed.json too.
  if (failed !== undefined && progress?.state !== 'waiting-to-retry') return 'failed';
  if (isPresent && progress.state === 'stopped') return 'stopped';
  if (live !== undefined) return 'waiting';
  if (progress !== undefined)
    return progress.state === 'stopped' || progress.state === 'failed' ? progress.state : 'interrupted';
  return history.length > 0 ? 'interrupted' : 'not-started';
}

/**
 * The state of a member that a job of a cluster trains or is about to train. Its done.json is the truth, whatever the queue
 * says; then the live claim of a job, which says more than the queue: after a cut of the network a job trains on that waits again
 * by the queue.
 */
function stateOnCluster({ done, progress, owner, job }: Found): MemberState | undefined {
  if (owner?.isAlive) {
    const since = owner.claimedAt === null ? -Infinity : Date.parse(owner.claimedAt) - CLOCK_TOLERANCE;
    if (progress === undefined || Date.parse(progress.updatedAt) < since) return 'starting';
    const { state } = progress;
    return state === 'training' ||
      state === 'predicting' ||
      state === 'waiting-to-retry' ||
      state === 'starting'
      ? state
      : undefined;
  }
  if (job === undefined || done !== undefined) return undefined;
  if (isWaiting(job)) return 'waiting';
  return isOnNode(job) && job.state !== 'COMPLETING' ? 'starting' : undefined;
}

function messageFor(state: MemberState, { failed, progress, history, owner, job }: Found): string | null {
  switch (state) {
    case 'failed':
      return failed?.reason ?? progress?.message ?? null;
    case 'starting':
      if (job !== undefined && owner?.isAlive !== true) return `job ${job.job} has started on ${job.nodes}`;
      return progress?.message ?? null;
    case 'waiting':
      return job !== undefined && isWaiting(job) ? waitingMessage(job) : null;
    case 'interrupted':
      if (job !== undefined)
        return `its job ${job.job} has ended (${job.state}) after epoch ${history.length}; the same command submits it again`;
      return history.length === 0
        ? 'its process ended before the first epoch was finished; the same command starts it again'
        : `its process ended after epoch ${history.length}; the same command continues it`;
    case 'done':
    case 'not-started':
      return null;
    default:
      return progress?.message ?? null;
  }
}

/** Members of a cluster that wait in its queue have no known start. */
function secondsLeftOnCluster(members: readonly MemberStatus[]): number | null {
  const active = members.filter(({ state }) => isActive(state));
  const isRest = members.every(({ state }) => isActive(state) || state === 'done' || state === 'failed');
  return active.length > 0 && isRest ? secondsLeftOf(members, active.length) : null;
}

/** `slots`: members that train at the same time. */
function secondsLeftOf(members: readonly MemberStatus[], slots: number): number | null {
  const known = new Map<string, number[]>();
  for (const { architecture, secondsPerEpoch } of members)
    if (secondsPerEpoch !== null)
      known.set(architecture, [...(known.get(architecture) ?? []), secondsPerEpoch]);
  const unfinished = (isWanted: (state: MemberState) => boolean) =>
    members
      .filter(({ state }) => isWanted(state))
      .map((member) => ({
        architecture: member.architecture,
        epochsLeft: member.epochs * (1 - member.finished),
        secondsPerEpoch: member.secondsPerEpoch,
        secondsLeft: member.secondsLeft,
      }));
  return timeLeft({
    active: unfinished(isActive),
    waiting: unfinished((state) => state === 'waiting' || state === 'waiting-to-retry'),
    slots,
    secondsPerEpoch: new Map([...known].map(([architecture, all]) => [architecture, mean(all)!])),
  });
}

const mean = (values: readonly number[]) =>
  values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;

/** A log's end of this size is read. */
const TAIL_BYTES = 65536;

/** The last lines of a member's log.txt, at most `lines`; empty if there is no log. */
export async function readLogTail(
  run: string,
  { member, lines = 200 }: { member: string; lines?: number },
): Promise<string[]> {
  const file = await openRegularFile(logFile(run, member)).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return [];
  const { handle, stats } = file;
  try {
    const from = Math.max(0, stats.size - TAIL_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(TAIL_BYTES), 0, TAIL_BYTES, from);
    const all = buffer.toString('utf8', 0, bytesRead).split('\n');
    if (from > 0) all.shift(); // The first line is probably incomplete.
    if (all.at(-1) === '') all.pop();
    return all.slice(-lines);
  } finally {
    await handle.close();
  }
}
