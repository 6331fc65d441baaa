// Distributes the members over the devices: one worker thread a device, one member a worker at a time.
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { MessageChannel } from 'node:worker_threads';
import { messageOf, writeJson } from '@ct-ensemble/core';
import { fileURLToPath } from 'node:url';
import type { Device } from '@ct-ensemble/engine';
import { lastCheckpoint, type Progress } from '@ct-ensemble/training';
import * as Comlink from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { Piscina } from 'piscina';
import { deviceName } from './devices.ts';
import { missingProbabilities, type PredictedSplit } from './member-probabilities.ts';
import type { MemberPlan, Plan } from './plan.ts';
import { doneFile, failedFile, memberFolder } from '../run-folder.ts';
import { readAllScans, readDone, scansOf } from '../run-records.ts';
import type { MemberControl, MemberObserver, MemberResult, MemberTask } from './worker.ts';

export interface CoordinatorOptions {
  run: string;
  plan: Plan;
  devices: readonly Device[];
  /** Folder of the volume store. */
  store: string;
  onEvent?: (event: MemberEvent) => void;
  /** Aborting asks every member to stop after its present step. */
  signal?: AbortSignal;
  /** Trains no member: only the missing probabilities of trained members are made. Default: false. */
  predictOnly?: boolean;
  /** The worker's module, for tests: its default export takes a MemberTask and returns a MemberResult. */
  worker?: string;
}

export type MemberEvent = { member: string } & (
  | { kind: 'skipped'; macroF1: number | null }
  /** Is not trained, and shall not be: see `predictOnly`. */
  | { kind: 'untrained' }
  /** `splits`: a trained member whose probabilities for these splits are missing, and are made from its best weights. */
  | { kind: 'started'; device: string; splits?: readonly PredictedSplit[] }
  | { kind: 'progress'; progress: Progress }
  /** Something that the user should know of, which does not stop the member. */
  | { kind: 'note'; note: string }
  | { kind: 'done'; macroF1: number | null }
  | { kind: 'stopped' }
  | { kind: 'failed'; reason: string }
);

export interface MemberOutcome {
  member: string;
  status: 'done' | 'failed' | 'stopped' | 'untrained';
  macroF1: number | null;
  /** Why it failed. */
  reason?: string;
  /** What the user should know of beside that. */
  notes: string[];
}

/**
 * Trains every member that is not done yet, predicts with members that are done and whose probabilities are missing, and
 * returns how each ended, in the plan's order. A member that fails, or whose files cannot be read or written, does not stop
 * the others.
 */
export async function trainMembers(options: CoordinatorOptions): Promise<MemberOutcome[]> {
  const { run, plan, devices, signal } = options;
  const outcomes = new Map<string, MemberOutcome>();
  const notes = new Map(plan.members.map(({ name }): [string, string[]] => [name, []]));
  const report = (event: MemberEvent) => {
    if (event.kind === 'note') notes.get(event.member)!.push(event.note);
    const outcome = outcomeOf(event);
    if (outcome) outcomes.set(event.member, { ...outcome, notes: notes.get(event.member)! });
    options.onEvent?.(event);
  };
  const fail = async (member: string, error: unknown) => {
    const reason = messageOf(error);
    const unwritten = await writeJson(failedFile(run, member), { reason }).catch(messageOf);
    if (unwritten !== undefined && !reason.includes(memberFolder(run, member)))
      report({ member, kind: 'note', note: `the reason of its failure could not be kept: ${unwritten}` });
    report({ member, kind: 'failed', reason });
  };
  const waiting: MemberPlan[] = [];
  /** The splits for which trained members are to predict. */
  const missing = new Map<string, PredictedSplit[]>();
  const { classes } = plan.dataset;
  /** Read once for all trained members, when the first one needs it. */
  let allScans: ReturnType<typeof readAllScans> | undefined;
  const missingOf = async (member: string) => {
    const scans = scansOf(await (allScans ??= readAllScans(run)), { run, member });
    return missingProbabilities(run, member, { scans, classes });
  };
  for (const member of plan.members) {
    const { name } = member;
    try {
      const done = await doneOf(options, name);
      const splits = done && (await missingOf(name));
      if (done && splits?.length === 0) report({ member: name, kind: 'skipped', macroF1: done.macroF1 });
      else if (!done && options.predictOnly) report({ member: name, kind: 'untrained' });
      else waiting.push(member);
      if (splits) missing.set(name, splits);
    } catch (error) {
      await fail(name, error);
    }
  }
  const pool = new Piscina<MemberTask, MemberResult>({
    // The built worker, from src/ and dist/ alike: Node runs no TypeScript before 22.18.
    filename: options.worker ?? fileURLToPath(new URL('../../dist/run/worker.js', import.meta.url)),
    minThreads: Math.min(devices.length, waiting.length),
    maxThreads: devices.length,
    concurrentTasksPerWorker: 1,
  });
  /** Members on their own device first, then whichever waits. */
  const next = (device: Device) => {
    const own = waiting.findIndex((member) => member.device === deviceName(device));
    return waiting.splice(Math.max(own, 0), 1)[0];
  };
  const lane = async (device: Device) => {
    for (let member = next(device); member !== undefined; member = next(device)) {
      const { name } = member;
      if (signal?.aborted) {
        report({ member: name, kind: 'stopped' });
        continue;
      }
      const splits = missing.get(name);
      report({ member: name, kind: 'started', device: deviceName(device), ...(splits && { splits }) });
      try {
        const { status, macroF1 } = await runMember(pool, member, {
          ...options,
          device,
          splits,
          onEvent: report,
        });
        report(status === 'done' ? { member: name, kind: status, macroF1 } : { member: name, kind: status });
      } catch (error) {
        await fail(name, error);
      }
    }
  };
  try {
    await Promise.all(devices.map(lane));
  } finally {
    await pool.destroy();
  }
  return plan.members.map(({ name }) => outcomes.get(name)!);
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
  if (!predictOnly && isContinuable) await rm(doneFile(run, member));
  return undefined;
}

/** How a member ended, if the event says so. */
function outcomeOf(event: MemberEvent): Omit<MemberOutcome, 'notes'> | undefined {
  const { member } = event;
  switch (event.kind) {
    case 'started':
    case 'progress':
    case 'note':
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

async function runMember(
  pool: Piscina<MemberTask, MemberResult>,
  member: MemberPlan,
  options: CoordinatorOptions & { device: Device; splits: readonly PredictedSplit[] | undefined },
): Promise<MemberResult> {
  const { run, plan, device, splits, store, signal, onEvent } = options;
  const progress = new MessageChannel();
  const control = new MessageChannel();
  const observer: MemberObserver = {
    progress: (value) => onEvent?.({ member: member.name, kind: 'progress', progress: value }),
    note: (note) => onEvent?.({ member: member.name, kind: 'note', note }),
  };
  Comlink.expose(observer, nodeEndpoint(progress.port1));
  const worker = Comlink.wrap<MemberControl>(nodeEndpoint(control.port1));
  const stop = () => void worker.stop();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    return await pool.run(
      {
        run,
        plan,
        member,
        device,
        deviceName: deviceName(device),
        store,
        ...(splits && { splits }),
        progress: progress.port2,
        control: control.port2,
      },
      { transferList: [progress.port2, control.port2] },
    );
  } finally {
    signal?.removeEventListener('abort', stop);
    progress.port1.close();
    control.port1.close();
  }
}
