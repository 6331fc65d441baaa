// The worker's side of every port: runs one member's task, reports to the coordinator and keeps progress.json and log.txt.
import { inspect } from 'node:util';
import { pathToFileURL } from 'node:url';
import { messageOf, UserError } from '@ct-ensemble/core';
import { memberJournal } from '../journal.ts';
import { MemberFailure, type MemberTask, type MemberWork, type Report } from './port.ts';

export interface Connection {
  send(report: Report): void;
  /** Whether the coordinator asked the member to stop. */
  stop(): boolean;
}

/** Runs a task. Its last report says how it ended. Never rejects. */
export async function serve(task: MemberTask, { send, stop }: Connection): Promise<void> {
  const journal = memberJournal(task, (note) => send({ kind: 'note', note }));
  try {
    journal.started();
    const { default: work } = (await import(pathToFileURL(task.worker).href)) as { default: MemberWork };
    const result = await work(task, {
      progress(progress) {
        journal.progress(progress);
        send({ kind: 'progress', progress });
      },
      note(note) {
        journal.note(note);
        send({ kind: 'note', note });
      },
      predicting: () => journal.state('predicting'),
      stop,
    });
    journal.state(result.status);
    await journal.flush();
    send({ kind: 'ended', result });
  } catch (error) {
    await journal.flush();
    send(failureReport(error));
  }
}

/** For an error that nothing has caught: a rejection of a promise that nobody awaits, an exception in a callback. */
export function failureReport(error: unknown, { unhandled = false } = {}): Report & { kind: 'failed' } {
  const { kind: failure, cause } =
    error instanceof MemberFailure
      ? error
      : { kind: error instanceof UserError ? ('user' as const) : ('exception' as const), cause: error };
  const reason = messageOf(error);
  return {
    kind: 'failed',
    failure,
    reason: unhandled ? `unhandled error: ${reason}` : reason,
    stack: failure === 'user' ? '' : inspect(cause),
  };
}
