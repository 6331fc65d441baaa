// The worker's side of every port: runs one member's task, reports to the coordinator and keeps progress.json and log.txt.
import { inspect } from 'node:util';
import { pathToFileURL } from 'node:url';
import type { Remote } from 'comlink';
import { messageOf, UserError } from '@ct-ensemble/core';
import { memberJournal } from '../journal.ts';
import type { FailureReport, MemberReceiver } from './channel.ts';
import { MemberFailure, type MemberTask, type MemberWork } from './port.ts';

export interface Connection {
  coordinator: Remote<MemberReceiver>;
  /** Whether the coordinator asked the member to stop. */
  stop(): boolean;
}

/**
 * Runs a task. Its last report says how it ended; when this resolves, the coordinator has received all reports. An error that the
 * coordinator throws at a report is an unhandled rejection here, which ends the attempt.
 */
export async function serve(task: MemberTask, { coordinator, stop }: Connection): Promise<void> {
  const note = (text: string) => void coordinator.note(text);
  const journal = memberJournal(task, note);
  try {
    journal.started();
    const { default: work } = (await import(pathToFileURL(task.worker).href)) as { default: MemberWork };
    const result = await work(task, {
      progress(progress) {
        journal.progress(progress);
        void coordinator.progress(progress);
      },
      note(text) {
        journal.note(text);
        note(text);
      },
      predicting: () => journal.state('predicting'),
      stop,
    });
    journal.state(result.status);
    await journal.flush();
    await coordinator.ended(result);
  } catch (error) {
    await journal.flush();
    await coordinator.failed(failureReport(error));
  }
}

/** For an error that nothing has caught: a rejection of a promise that nobody awaits, an exception in a callback. */
export function failureReport(error: unknown, { unhandled = false } = {}): FailureReport {
  const { kind, cause } =
    error instanceof MemberFailure
      ? error
      : { kind: error instanceof UserError ? ('user' as const) : ('exception' as const), cause: error };
  const reason = messageOf(error);
  return {
    kind,
    reason: unhandled ? `unhandled error: ${reason}` : reason,
    stack: kind === 'user' ? '' : inspect(cause),
  };
}
