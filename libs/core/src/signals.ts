// Ctrl-C, SIGTERM and SIGHUP: the first asks the command to stop after its present step, the second ends the process.
import { writeSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { GuardOptions } from './signal-guard.ts';

export const stopNotice = 'Stopping after the present step; once more stops at once.';
/** What a command that was stopped says at its end. */
export const stoppedNotice = 'Stopped: the same command continues from here.';

/**
 * Signals within this time of the first belong to it: one Ctrl-C reaches a process of the terminal's process group from the
 * terminal, and again from npx or nx, which hand it on, perhaps as SIGTERM. In milliseconds.
 */
export const sameKeypress = 1000;

export interface Stopping {
  /** Aborted by the first signal. */
  readonly signal: AbortSignal;
  /** Prints the notice of the first signal; by default on standard error. A display that owns the terminal replaces it. */
  notify: (notice: string) => void;
  /** Gives the signals their default action back. */
  release: () => void;
}

/**
 * Aborts `signal` at the first SIGINT, SIGTERM or SIGHUP, and prints the notice. At the second, the process ends at once as by SIGINT, which shells
 * report as exit code 130: also while a reader hangs or a native call runs. If the event loop is too busy to see the second
 * signal, a worker thread ends the process by SIGKILL a second later.
 *
 * Under nohup SIGHUP is ignored, as Node gives it its default action back at start, which nohup had set to ignored.
 */
export function stopOnSignal({ notice = stopNotice }: { notice?: string } = {}): Stopping {
  const isNohup = basename(process.env['_'] ?? '') === 'nohup';
  const signals: NodeJS.Signals[] = ['SIGINT', 'SIGTERM', ...(isNohup ? [] : (['SIGHUP'] as const))];
  const controller = new AbortController();
  const ignore = () => {};
  let first: number | undefined;
  const stop = () => {
    if (first === undefined) {
      first = performance.now();
      // The guard may start too late to see the first signal itself. This clock is the same in all threads.
      guard.postMessage(process.hrtime.bigint());
      stopping.notify(notice);
      controller.abort();
    } else if (performance.now() - first >= sameKeypress) {
      void endAtOnce(guard);
    }
  };
  for (const signal of signals) process.on(signal, stop);
  if (isNohup) process.on('SIGHUP', ignore);
  const guard = new Worker(fileURLToPath(new URL('../dist/signal-guard.js', import.meta.url)), {
    workerData: { signals, sameKeypress, patience: 1000 } satisfies GuardOptions,
    execArgv: [],
  });
  guard.unref();
  guard.on('error', ignore); // The command works without the guard too.
  const stopping: Stopping = {
    signal: controller.signal,
    notify: (notice) => console.error(notice),
    release() {
      for (const signal of signals) process.off(signal, stop);
      process.off('SIGHUP', ignore);
      void guard.terminate();
    },
  };
  return stopping;
}

/**
 * Ends the process by the default action of SIGINT: process.exit would wait for native calls and for readers that hang. The
 * action is the default one once no thread, not even the guard, handles the signal any more.
 */
async function endAtOnce(guard: Worker) {
  if (process.stdout.isTTY) {
    try {
      writeSync(1, '\x1b[?25h\n'); // The live display hides the cursor.
    } catch {
      // The terminal may be gone.
    }
  }
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1000);
  await guard.terminate();
  process.removeAllListeners('SIGINT');
  process.kill(process.pid, 'SIGINT');
}
