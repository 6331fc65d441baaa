// What a worker thread runs for one member.
import type { MessagePort } from 'node:worker_threads';
import type { MemberTask, Report } from './port.ts';
import { failureReport, serve } from './serve.ts';

export interface ThreadTask {
  task: MemberTask;
  /** Carries the reports to the coordinator, and its request to stop, which is any message. */
  port: MessagePort;
}

export default async function runInThread({ task, port }: ThreadTask): Promise<void> {
  let stopped = false;
  port.on('message', () => (stopped = true));
  const send = (report: Report) => port.postMessage(report);
  const onUncaught = (error: unknown) => {
    send(failureReport(error, { unhandled: true }));
    process.exit(1); // Of this thread only.
  };
  process.on('uncaughtException', onUncaught);
  try {
    await serve(task, { send, stop: () => stopped });
  } finally {
    process.off('uncaughtException', onUncaught);
    port.close();
  }
}
