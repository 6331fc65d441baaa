// Members in worker threads of this process: the least memory and the fastest start. A native crash ends the whole process.
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { codeOf, messageOf } from '@ct-ensemble/core';
import { Piscina } from 'piscina';
import { readProgress } from '../../run-status.ts';
import {
  MemberFailure,
  type MemberObserver,
  type MemberPort,
  type MemberResult,
  type Report,
  reportedFailure,
} from './port.ts';
import { tailOf } from './stderr-tail.ts';
import type { ThreadTask } from './thread-entry.ts';

export interface ThreadPortOptions {
  /** Limits of V8's heap in each thread, in MB. Default: Node's. */
  heapLimit?: number;
}

export function threadPort({ heapLimit }: ThreadPortOptions = {}): MemberPort {
  /** A pool is one thread. It runs one member after another until one fails. */
  const idle: Piscina<ThreadTask, void>[] = [];
  const open = () =>
    new Piscina<ThreadTask, void>({
      // The built worker, from src/ and dist/ alike: Node runs no TypeScript before 22.18.
      filename: fileURLToPath(new URL('../../../dist/run/ports/thread-entry.js', import.meta.url)),
      minThreads: 1,
      maxThreads: 1,
      ...(heapLimit !== undefined && { resourceLimits: { maxOldGenerationSizeMb: heapLimit } }),
    });
  return {
    start(task, observer) {
      const pool = idle.pop() ?? open();
      const { port1, port2 } = new MessageChannel();
      const logs = tailOf(pool.threads[0]!.stderr);
      const run = async () => {
        try {
          const running = pool.run({ task, port: port2 }, { transferList: [port2] });
          const result = await resultOf(running, { port: port1, observer, logs });
          idle.push(pool);
          return result;
        } catch (error) {
          await pool.destroy();
          throw error;
        } finally {
          port1.close();
        }
      };
      return {
        result: run(),
        stop: () => port1.postMessage('stop'),
        status: () => readProgress(task.run, task.member.name),
        logs,
      };
    },
    close: async () => void (await Promise.all(idle.splice(0).map((pool) => pool.destroy()))),
  };
}

async function resultOf(
  running: Promise<void>,
  { port, observer, logs }: { port: MessagePort; observer: MemberObserver; logs: () => string },
): Promise<MemberResult> {
  let last: Report | undefined;
  const receive = (report: Report) => {
    if (report.kind === 'progress') observer.progress(report.progress);
    else if (report.kind === 'note') observer.note(report.note);
    else last = report;
  };
  port.on('message', receive);
  const death = await running.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  // What the thread sent before it ended is here, but perhaps not delivered yet.
  for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port))
    receive(next.message as Report);
  if (last?.kind === 'ended') return last.result;
  await new Promise(setImmediate); // The thread's standard error arrives after its messages.
  if (last?.kind === 'failed') throw reportedFailure(last, logs());
  const stderrTail = logs();
  const { error } = death ?? { error: new Error('the worker thread ended without a result') };
  const exitCode = /^worker exited with code: (\d+)$/.exec(messageOf(error))?.[1];
  if (exitCode !== undefined)
    throw new MemberFailure(`its worker thread exited with code ${exitCode}`, {
      kind: 'exit',
      exitCode: Number(exitCode),
      stderrTail,
    });
  const isMemory = codeOf(error) === 'ERR_WORKER_OUT_OF_MEMORY';
  throw new MemberFailure(messageOf(error), { kind: isMemory ? 'out-of-memory' : 'exception', stderrTail });
}
