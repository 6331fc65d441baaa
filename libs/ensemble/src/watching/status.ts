// The state of a whole run from its files alone: for another process, after the end, and for runs of earlier versions.
import { type ClaimHolder, claimHolder, codeOf, messageOf, openRegularFile } from '@ct-ensemble/core';
import { mapConcurrent } from '@ct-ensemble/data';
import { configFile, doneFile, failedFile, logFile, planFile, progressFile } from '../run-folder.ts';
import { type MemberPlan, type Plan, readPlan } from '../run/plan.ts';
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
 * `waiting`: for a device, while the run is trained. `interrupted`: it was at work when its process or the coordinator ended
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
 * `running`: a live coordinator trains the run. `busy`: another command is at work in the folder, or the training is still
 * preparing. `interrupted`: the coordinator ended without a word.
 */
export type RunState = 'running' | 'busy' | 'ended' | 'stopped' | 'interrupted' | 'not-started';

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

/** The state of a run now. @throws {UserError} if there is no run, or its plan is damaged. */
export const runStatus = (run: string): Promise<RunStatus> => runReader(run).status();

export function runReader(run: string): RunReader {
  const files = stampedFiles();
  const history = historyReader(run, files);
  return { history, status: () => statusOf(run, { files, history }) };
}

/** Members whose files are read at the same time. */
const MEMBERS_AT_ONCE = 16;

interface Found {
  member: MemberPlan;
  done: DoneRecord | undefined;
  failed: FailedRecord | undefined;
  progress: ProgressRecord | undefined;
  history: EpochLine[];
  /** From config.json, which runs of earlier versions have too. */
  device: string | null;
  /** Files that could not be read. */
  problems: string[];
}

async function statusOf(
  run: string,
  { files, history }: { files: StampedFiles; history: RunReader['history'] },
): Promise<RunStatus> {
  const problems: string[] = [];
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
  const plan = (await files.get(planFile(run), () => readPlan(run))).value ?? (await readPlan(run));
  const live = holder?.isAlive && isHeldBy(coordinator, holder) ? coordinator : undefined;
  const found = await mapConcurrent(plan.members, MEMBERS_AT_ONCE, (member) =>
    findMember(run, { member, files, history }),
  );
  problems.push(...found.flatMap((each) => each.problems));
  const members = found.map((each) => memberStatus(each, { plan, live }));
  const counts = Object.fromEntries(
    memberStates.map((state) => [state, members.filter((member) => member.state === state).length]),
  ) as Record<MemberState, number>;
  const rates = members.flatMap(({ samplesPerSecond }) => samplesPerSecond ?? []);
  return {
    run,
    recipe: plan.recipe.name,
    state: runState({ holder, coordinator, live, members }),
    coordinator: coordinator ? describeCoordinator(coordinator) : null,
    devices: live?.devices ?? plan.devices.map((name) => ({ name, members: [] })),
    counts,
    finished: members.reduce((sum, { finished }) => sum + finished, 0) / members.length,
    samplesPerSecond: rates.length === 0 ? null : rates.reduce((sum, rate) => sum + rate, 0),
    secondsLeft: live ? secondsLeftOf(members, live) : null,
    missing: members.filter(({ state }) => state !== 'done').map(({ name }) => name),
    members,
    problems,
    at: new Date().toISOString(),
  };
}

/** Reads a member's files; what cannot be read is among the problems. */
async function findMember(
  run: string,
  { member, files, history }: { member: MemberPlan; files: StampedFiles; history: RunReader['history'] },
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
}: {
  holder: ClaimHolder | undefined;
  coordinator: CoordinatorRecord | undefined;
  live: CoordinatorRecord | undefined;
  members: readonly MemberStatus[];
}): RunState {
  if (live !== undefined) return 'running';
  if (holder?.isAlive && coordinator?.pid !== holder.pid) return 'busy';
  if (members.every(({ state }) => state === 'done')) return 'ended';
  if (coordinator !== undefined) return coordinator.state === 'running' ? 'interrupted' : coordinator.state;
  // A run of an earlier version.
  if (members.every(({ state }) => state === 'not-started')) return 'not-started';
  return members.every(({ state }) => state === 'done' || state === 'failed') ? 'ended' : 'interrupted';
}

function memberStatus(
  { member, done, failed, progress, history, device }: Found,
  { plan, live }: { plan: Plan; live: CoordinatorRecord | undefined },
): MemberStatus {
  const state = stateOf({ member, done, failed, progress, history }, live);
  const last = history.at(-1);
  const epochs = plan.recipe.training.epochs;
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
    message: messageFor(state, { failed, progress, history }),
  };
}

function stateOf(
  { member, done, failed, progress, history }: Omit<Found, 'device' | 'problems'>,
  live: CoordinatorRecord | undefined,
): MemberState {
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

function messageFor(
  state: MemberState,
  { failed, progress, history }: Pick<Found, 'failed' | 'progress' | 'history'>,
): string | null {
  switch (state) {
    case 'failed':
      return failed?.reason ?? progress?.message ?? null;
    case 'interrupted':
      return history.length === 0
        ? 'its process ended before the first epoch was finished; the same command starts it again'
        : `its process ended after epoch ${history.length}; the same command continues it`;
    case 'done':
    case 'waiting':
    case 'not-started':
      return null;
    default:
      return progress?.message ?? null;
  }
}

function secondsLeftOf(members: readonly MemberStatus[], { devices }: CoordinatorRecord): number | null {
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
    slots: devices.reduce((sum, { members }) => sum + Math.max(1, members.length), 0),
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
