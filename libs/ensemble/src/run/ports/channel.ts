// What coordinator and worker call at each other through comlink, over the messages of a thread or a process: the worker's reports one
// way, the request to stop the other.
import { type Endpoint, expose } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { MemberFailure, type MemberObserver, type MemberResult } from './port.ts';
import type { FailureKind } from '../schedule.ts';

/** What the coordinator exposes to a worker. */
export interface MemberReceiver extends MemberObserver {
  ended(result: MemberResult): void;
  failed(report: FailureReport): void;
}

export interface FailureReport {
  reason: string;
  kind: FailureKind;
  /** Where an error that is not the user's was thrown. */
  stack: string;
}

/** What a worker exposes to its coordinator. */
export interface MemberControl {
  /** Asks the member to stop after its present step. */
  stop(): void;
}

/**
 * Hands the worker's reports on to the observer. Returns a function that gives the member's result as far as the worker has
 * reported one, and throws the failure that it has reported; `stderrTail` becomes part of that.
 */
export function receiveReports(
  endpoint: Endpoint,
  observer: MemberObserver,
): (stderrTail: string) => MemberResult | undefined {
  let result: MemberResult | undefined;
  let failure: FailureReport | undefined;
  expose(
    {
      progress: (progress) => observer.progress(progress),
      note: (note) => observer.note(note),
      ended: (ended) => void (result = ended),
      failed: (report) => void (failure ??= report),
    } satisfies MemberReceiver,
    endpoint,
  );
  return (stderrTail) => {
    if (!failure) return result;
    const { reason, kind, stack } = failure;
    throw new MemberFailure(reason, {
      kind,
      stderrTail: [stderrTail, stack].filter((part) => part !== '').join('\n'),
    });
  };
}

/** A child process seen from its parent, or the parent seen from the child. */
interface IpcChannel {
  send?(message: unknown, callback: (error: Error | null) => void): unknown;
  on(event: 'message', listener: (message: unknown) => void): unknown;
  off(event: 'message', listener: (message: unknown) => void): unknown;
}

/** The messages between a child process and its parent. Those to a process that has ended are lost without an error. */
export const ipcEndpoint = (channel: IpcChannel): Endpoint =>
  nodeEndpoint({
    postMessage: (message) => void channel.send!(message, () => {}),
    on: channel.on.bind(channel),
    off: channel.off.bind(channel),
  } as Parameters<typeof nodeEndpoint>[0]);
