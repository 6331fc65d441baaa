// What a worker thread runs for one member.
import { expose, wrap } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import type { MessagePort } from 'node:worker_threads';
import type { MemberControl, MemberReceiver } from './channel.ts';
import type { MemberTask } from './port.ts';
import { failureReport, serve } from './serve.ts';

export interface ThreadTask {
  task: MemberTask;
  /** Leads to the coordinator. */
  port: MessagePort;
}

export default async function runInThread({ task, port }: ThreadTask): Promise<void> {
  let stopped = false;
  const endpoint = nodeEndpoint(port);
  const coordinator = wrap<MemberReceiver>(endpoint);
  expose({ stop: () => void (stopped = true) } satisfies MemberControl, endpoint);
  const onUncaught = (error: unknown) => {
    void coordinator.failed(failureReport(error, { unhandled: true }));
    process.exit(1); // Of this thread only.
  };
  process.on('uncaughtException', onUncaught);
  try {
    await serve(task, { coordinator, stop: () => stopped });
  } finally {
    process.off('uncaughtException', onUncaught);
    port.close();
  }
}
