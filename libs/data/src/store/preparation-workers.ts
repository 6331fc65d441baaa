// Worker threads that prepare scans. A scan whose preparation takes too long, or ends its thread, fails; the others go on.
import { fileURLToPath } from 'node:url';
import type { MessagePort } from 'node:worker_threads';
import { codeOf, messageOf, UserError } from '@ct-ensemble/core';
import { Piscina } from 'piscina';
import type { DecodeAhead } from './decode-ahead.ts';
import type { Finding } from '../findings.ts';
import type { ScanEntry } from '../scan-entry.ts';
import { findingsByFile } from '../volumes/slice-findings.ts';

/** Bound of a worker thread's JavaScript heap, in MB. The bytes of files and slices are outside of it. */
const WORKER_HEAP_MB = 2048;

export interface Workers<Task, Result> {
  /**
   * Prepares one scan; its preparation is stopped after `deadline` seconds. `moved`: ports in the task.
   * @throws {UserError} if it fails for a reason other than the scan.
   */
  prepare(task: Task, deadline: number, moved?: readonly MessagePort[]): Promise<Result>;
  /**
   * Runs a task of another module, which helps with a scan, on one of the threads; it is stopped after `deadline` seconds. It never
   * throws: a scan must not depend on its help.
   */
  help(script: string, task: DecodeAhead, deadline: number): Promise<void>;
  close(): Promise<void>;
}

export interface WorkersOptions<Task, Result> {
  /** Number of threads. */
  threads: number;
  /** Module beside this one that the threads run, without its ending. */
  script: string;
  /** The result for a scan whose preparation failed. */
  failed(task: Task, about: { failure: string; findings: Finding[] }): Result;
}

export function startWorkers<Task extends { scan: ScanEntry }, Result>({
  threads,
  script,
  failed,
}: WorkersOptions<Task, Result>): Workers<Task, Result> {
  const builtWorker = (name: string) =>
    fileURLToPath(new URL(`../../dist/store/${name}.js`, import.meta.url));
  const pool = new Piscina<Task, Result>({
    // The built worker, whether this file runs from src/ or dist/: Node runs no TypeScript before 22.18.
    filename: builtWorker(script),
    minThreads: threads,
    maxThreads: threads,
    resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB },
  });
  // A thread that fails while no scan is with it, such as at its start: the scans would wait for it for ever.
  const broken = new Promise<never>((_, reject) => {
    pool.on('error', (error: unknown) =>
      reject(new Error(`a worker thread failed while it had no scan (${messageOf(error)})`)),
    );
  });
  broken.catch(() => undefined);
  return {
    async help(name, task, deadline) {
      const signal = AbortSignal.timeout(deadline * 1000);
      await pool
        .run(task as never, { filename: builtWorker(name), signal, transferList: [task.port] as never })
        .catch(() => task.port.close());
    },
    async prepare(task, deadline, moved = []) {
      const late = new AbortController();
      const timer = setTimeout(() => late.abort(), deadline * 1000);
      try {
        return await Promise.race([
          pool.run(task, { signal: late.signal, transferList: moved as never }),
          broken,
        ]);
      } catch (error) {
        const failure = late.signal.aborted
          ? `its preparation was stopped after ${deadline} s`
          : failureOfScan(error);
        // An error that crosses threads loses its class.
        if (failure === null) throw new UserError(messageOf(error), { file: task.scan.key, cause: error });
        const findings = findingsByFile(
          [{ kind: 'preparation-failed', slices: [], message: failure }],
          task.scan,
        );
        return failed(task, { failure, findings });
      } finally {
        clearTimeout(timer);
      }
    },
    close: () => pool.destroy(),
  };
}

/** The failure of the scan that was being prepared, if the error is due to it: memory, stack or the end of its thread. */
export function failureOfScan(error: unknown): string | null {
  const message = messageOf(error);
  if (codeOf(error) === 'ERR_WORKER_OUT_OF_MEMORY')
    return `its preparation needs more than ${WORKER_HEAP_MB} MB of JavaScript memory`;
  if (/^worker exited with code/.test(message))
    return `its preparation ended the thread it ran in (${message})`;
  if ((error as Partial<Error> | null)?.name === 'RangeError')
    return `its preparation exceeds the memory or the stack (${message})`;
  return null;
}
