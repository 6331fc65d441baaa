// Worker thread that ends the process by SIGKILL if a second signal finds the main thread too busy to end it itself.
//
// Node delivers signals to JavaScript on the main thread only. libuv delivers them to every event loop that asks for them;
// the binding that asks is reachable through process.binding, which is deprecated. In a Node version without it,
// this guard does nothing, and a second signal waits until the main thread's event loop turns.
import { constants } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';

export interface GuardOptions {
  signals: readonly NodeJS.Signals[];
  /** Milliseconds within which signals belong to the first. */
  sameKeypress: number;
  /** Milliseconds that the main thread has to end the process itself. */
  patience: number;
}

interface SignalHandle {
  onsignal: () => void;
  start(signal: number): number;
}

const { signals, sameKeypress, patience } = workerData as GuardOptions;
const { binding } = process as unknown as {
  binding(name: 'signal_wrap'): { Signal: new () => SignalHandle };
};
process.noDeprecation = true; // of this thread only
const { Signal } = binding.call(process, 'signal_wrap');

/** Of the first signal, in nanoseconds. */
let first: bigint | undefined;
const onSignal = () => {
  const now = process.hrtime.bigint();
  first ??= now;
  if (Number(now - first) / 1e6 >= sameKeypress)
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), patience);
};
const handles = signals.map((signal) => {
  const handle = new Signal();
  handle.onsignal = onSignal;
  handle.start(constants.signals[signal]);
  return handle;
});
/** The main thread reports when the first signal came. Listening also keeps this thread, and by the closure its handles, alive. */
parentPort!.on('message', (time: bigint) => {
  if (handles.length > 0) first = time;
});
