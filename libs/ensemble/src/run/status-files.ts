// What the coordinator writes about a run for people and other programs: coordinator.json, and of members whose worker has ended
// by a failure failed.json, progress.json and log.txt.
import { hostname } from 'node:os';
import { messageOf, printableLines } from '@ct-ensemble/core';
import type { MemberEvent } from './coordinator.ts';
import { initialProgress } from './journal.ts';
import type { MemberFailure, MemberTask } from './ports/port.ts';
import type { DeviceSlot, ScheduleEvent } from './schedule.ts';
import { memberFolder } from '../run-folder.ts';
import {
  appendLog,
  type CoordinatorRecord,
  type Isolation,
  readProgress,
  writeCoordinator,
  writeFailed,
  writeProgress,
} from '../run-status.ts';

export interface StatusFilesOptions {
  run: string;
  isolation: Isolation;
  slots: readonly DeviceSlot[];
  /** Whether coordinator.json is written. */
  isWholeRun: boolean;
  /** Called with notes about failures that could not be written. */
  report: (event: MemberEvent) => void;
}

export interface FailedAttempt {
  failure: MemberFailure;
  attempt: number;
  /** Undefined if the member had not started. */
  task: MemberTask | undefined;
  /** Seconds until the next attempt; absent: there is none. */
  wait?: number;
}

export function statusFiles({ run, isolation, slots, isWholeRun, report }: StatusFilesOptions) {
  const startedAt = new Date().toISOString();
  const running = slots.map(({ device }) => ({ name: device, members: [] as string[] }));
  let waiting: string[] = [];
  let state: CoordinatorRecord['state'] = 'running';
  let last = Promise.resolve();
  let isFaulty = false;
  const inTurn = (write: () => Promise<void>) => {
    last = last.then(write).catch((error: unknown) => {
      if (!isFaulty) console.error(printableLines(`The run's status cannot be written: ${messageOf(error)}`));
      isFaulty = true;
    });
  };
  const write = () => {
    if (!isWholeRun) return;
    const updatedAt = new Date().toISOString();
    const devices = structuredClone(running);
    const about = { pid: process.pid, host: hostname(), startedAt, updatedAt, state, isolation };
    const record: CoordinatorRecord = { version: 1, ...about, devices, waiting: [...waiting] };
    inTurn(() => writeCoordinator(run, record));
  };
  const without = (names: readonly string[], name: string) => names.filter((each) => each !== name);

  return {
    begin(members: readonly string[]) {
      waiting = [...members];
      write();
    },
    event(event: ScheduleEvent) {
      for (const device of running) device.members = without(device.members, event.name);
      waiting = without(waiting, event.name);
      if (event.kind === 'started') running[event.lease.slot]!.members.push(event.name);
      if (event.kind === 'waiting-to-retry') waiting.push(event.name);
      write();
    },
    end(how: 'ended' | 'stopped') {
      state = how;
      write();
    },
    failed(member: string, failed: FailedAttempt) {
      inTurn(() => writeFailure(run, member, { ...failed, report }));
    },
    /** Waits until everything is written. */
    written: () => last,
  };
}

async function writeFailure(
  run: string,
  member: string,
  { failure, attempt, task, wait, report }: FailedAttempt & Pick<StatusFilesOptions, 'report'>,
) {
  const { reason, kind, signal, exitCode, stderrTail } = failure;
  const what = wait === undefined ? 'failed' : `attempt ${attempt} failed, the next one starts in ${wait} s`;
  try {
    await writeFailed(run, member, { reason, kind, attempt, signal, exitCode, stderrTail });
    const tail = stderrTail === null ? '' : `\nstandard error of the worker:\n${stderrTail}`;
    await appendLog({ run, member }, 'error', `${what}: ${reason}${tail}`);
    if (task === undefined) return;
    const progress = (await readProgress(run, member).catch(() => undefined)) ?? initialProgress(task);
    await writeProgress(run, member, {
      ...progress,
      attempt,
      state: wait === undefined ? 'failed' : 'waiting-to-retry',
      message: reason,
      updatedAt: new Date().toISOString(),
    });
  } catch (error) {
    const unwritten = messageOf(error);
    if (!reason.includes(memberFolder(run, member)))
      report({ member, kind: 'note', note: `the reason of its failure could not be kept: ${unwritten}` });
  }
}
