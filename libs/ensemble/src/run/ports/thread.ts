// Members in worker threads of this process: the least memory and the fastest start. A native crash ends the whole process.
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import { wrap } from 'comlink';
import nodeEndpoint from 'comlink/dist/esm/node-adapter.mjs';
import { codeOf, messageOf } from '@ct-ensemble/core';
import { Piscina } from 'piscina';
import { readProgress } from '../../run-status.ts';
import { type MemberControl, receiveReports } from './channel.ts';
import { MemberFailure, type MemberObserver, type MemberPort, type MemberResult } from './port.ts';
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
      const worker = wrap<MemberControl>(nodeEndpoint(port1));
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
        stop: () => void worker.stop(),
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
  const reported = receiveReports(nodeEndpoint(port), observer);
  const death = await running.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
  // What the thread sent before it ended is here, but perhaps not delivered yet.
  for (let next = receiveMessageOnPort(port); next; next = receiveMessageOnPort(port))
    port.emit('message', next.message);
  await new Promise(setImmediate); // The thread's standard error arrives after its messages.
  const stderrTail = logs();
  const result = reported(stderrTail);
  if (result) return result;
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
