// One start of one member as a job of a cluster: the newest start owns the member, an older one leaves. Beside that it works as the
// coordinator of a run that has this one member.
import { stat } from 'node:fs/promises';
import {
  asUserError,
  type Claim,
  ClaimedError,
  claimFolder,
  claimHolder,
  messageOf,
  sweepTemporaryFiles,
  UserError,
} from '@ct-ensemble/core';
import { didYouMean } from '../names.ts';
import { memberFolder, sweepMember, tensorboardFolder } from '../run-folder.ts';
import { readAllScans, readDone, scansOf } from '../run-records.ts';
import { appendLog, writeFailed } from '../run-status.ts';
import { type CoordinatorOptions, type MemberOutcome, trainMembers } from '../run/coordinator.ts';
import { missingProbabilities } from '../run/member-probabilities.ts';
import type { Plan } from '../run/plan.ts';
import { endLeftProcess } from '../run/ports/member-process.ts';
import type { ClusterJob } from './job.ts';
import { idleStarts, noteStart } from './starts.ts';

export interface StartMemberOptions extends Omit<
  CoordinatorOptions,
  'only' | 'job' | 'predictOnly' | 'augmentation' | 'draws' | 'expected'
> {
  member: string;
  /** Undefined outside of a cluster's job. */
  job?: ClusterJob | undefined;
  /** Starts in a row that found the same checkpoint, after which the member has failed. Default 3. */
  maxIdleStarts?: number;
  /** Work in the member's folder that is to be finished while the member is still owned. */
  beforeRelease?: () => Promise<void>;
  /** Seconds between two looks whether a newer start owns the member. Default 10. */
  heartbeat?: number;
}

/** How the start ended. `superseded`: a newer start owns the member; `reason` says which. */
export type StartOutcome = { status: 'superseded'; reason: string } | MemberOutcome;

/** @throws {UserError} if the run has no such member. */
export function requireMember({ members, retired }: Plan, name: string) {
  const names = members.map((member) => member.name);
  if (names.includes(name)) return;
  const isRetired = retired.some((member) => member.name === name);
  throw new UserError(
    isRetired
      ? `the member "${name}" is no longer in the recipe of this run`
      : `the run has no member "${name}"${didYouMean(name, names)}`,
    { remedy: `name one of its members with --member: ${names.join(', ')}` },
  );
}

/**
 * Takes the member over from whoever works on it, and trains it to its end. A member that is done needs nothing. The member's
 * folder is fenced: once a newer start owns the member, this process, its threads and child processes write nothing there.
 *
 * @throws {UserError} if the run has no such member, if a coordinator or another command is at work in the run, or if the
 * folder cannot be written.
 */
export async function startMember(options: StartMemberOptions): Promise<StartOutcome> {
  const {
    run,
    plan,
    member,
    job,
    maxIdleStarts = 3,
    heartbeat = 10,
    signal,
    beforeRelease,
    ...train
  } = options;
  requireMember(plan, member);
  const done = await finished(run, { plan, member });
  if (done !== undefined) return done;
  const folder = memberFolder(run, member);
  await refuseCoordinator(run);
  let claim: Claim;
  try {
    claim = await claimFolder(folder, {
      newest: true,
      heartbeat,
      ...(job && { order: job.order }),
      ...(signal && { signal }),
    });
  } catch (error) {
    // Its order is greater, and it is alive.
    if (error instanceof ClaimedError) return { status: 'superseded', reason: error.problem };
    throw error;
  }
  try {
    // Again, now that whoever claims the run from now on finds the member's claim.
    await refuseCoordinator(run, (await stat(claim.file).catch(() => undefined))?.mtimeMs);
    const signals = AbortSignal.any([claim.lost, ...(signal ? [signal] : [])]);
    const outcome = await attempt({ ...train, run, plan, member, job, maxIdleStarts, signal: signals }).catch(
      (thrown: unknown) => {
        if (signals.aborted) throw thrown;
        const error = asUserError(thrown);
        const kind = error instanceof UserError ? 'user' : 'exception';
        return failed(run, { member, reason: messageOf(error), kind });
      },
    );
    await beforeRelease?.();
    await claim.isHeld();
    return claim.lost.aborted ? superseded(claim) : outcome;
  } catch (error) {
    await claim.isHeld();
    if (claim.lost.aborted) return superseded(claim);
    throw error;
  } finally {
    await claim.release();
  }
}

/** Trains the owned member, unless its starts make no progress. */
async function attempt({
  member,
  job,
  maxIdleStarts,
  ...train
}: Omit<StartMemberOptions, 'heartbeat' | 'beforeRelease'> & {
  maxIdleStarts: number;
}): Promise<MemberOutcome> {
  const { run } = train;
  await clear(run, member);
  const starts = await noteStart(run, member, job);
  const idle = idleStarts(starts);
  if (idle >= maxIdleStarts) return giveUp(run, { member, idle, checkpoint: starts.at(-1)!.checkpoint });
  const outcomes = await trainMembers({ ...train, only: member, ...(job && { job: job.name }) });
  return outcomes[0]!;
}

/** The outcome of a member that is done and has its probabilities. */
async function finished(
  run: string,
  { plan, member }: { plan: Plan; member: string },
): Promise<MemberOutcome | undefined> {
  const done = await readDone(run, member).catch(() => undefined); // trainMembers reports a damaged file.
  if (done === undefined || done.epochs < plan.recipe.training.epochs) return undefined;
  const scans = scansOf(await readAllScans(run), { run, member });
  const missing = await missingProbabilities(run, member, { scans, classes: plan.dataset.classes });
  if (missing.length > 0) return undefined;
  return { member, status: 'done', macroF1: done.macroF1, attempts: 0, notes: [] };
}

/** @throws {UserError} if another process holds the run's claim; `now` is the file system's time. */
async function refuseCoordinator(run: string, now?: number) {
  const holder = await claimHolder(run, now === undefined ? {} : { now });
  if (!holder?.isAlive) return;
  throw new UserError(
    `another command is at work in this run: process ${holder.pid ?? '?'} on ${holder.host ?? 'an unknown host'} since ${holder.claimedAt ?? 'an unknown time'}`,
    { file: run, remedy: 'wait until it ends, or stop it, then start the job again' },
  );
}

/** Ends the process that an earlier start on this machine left, and deletes what earlier starts left half written. */
async function clear(run: string, member: string) {
  await endLeftProcess(memberFolder(run, member));
  await sweepMember(run, member, 'all');
  await sweepTemporaryFiles(tensorboardFolder(run, member), { of: 'all' });
}

/** Ends a member whose starts make no progress: further ones would not, either. */
async function giveUp(
  run: string,
  {
    member,
    idle,
    checkpoint,
  }: { member: string; idle: number; checkpoint: { epoch: number; step: number } | null },
): Promise<MemberOutcome> {
  const place =
    checkpoint === null
      ? 'no checkpoint'
      : `the same checkpoint (after epoch ${checkpoint.epoch}` +
        (checkpoint.step > 0 ? ` and step ${checkpoint.step} of the next)` : ')');
  const reason =
    `${idle} starts in a row found ${place} and ended without a later one → ` +
    'give the job more time (--time), write checkpoints more often (--checkpoint-minutes), ' +
    'and read the logs of the starts; starting the member again then counts anew';
  return failed(run, { member, reason, kind: 'user' });
}

/** Keeps the reason why a member failed before its training began. */
async function failed(
  run: string,
  { member, reason, kind }: { member: string; reason: string; kind: 'user' | 'exception' },
): Promise<MemberOutcome> {
  await writeFailed(run, member, { reason, kind });
  await appendLog({ run, member }, 'error', `failed: ${reason}`);
  return { member, status: 'failed', macroF1: null, attempts: 0, reason, notes: [] };
}

const superseded = ({ lost }: Claim): StartOutcome => ({
  status: 'superseded',
  reason:
    lost.reason instanceof UserError ? lost.reason.problem : 'this process lost its claim of the member',
});
