// The signals of a job of a cluster. SIGUSR2 comes before the job's time limit: stop and be started again. SIGTERM, SIGINT and
// SIGHUP end it. SIGKILL follows soon, so that a repeated signal need not end the process itself.

/** What a signal asks for. */
export type StopRequest = 'requeue' | 'stop';

const requests = { SIGUSR2: 'requeue', SIGTERM: 'stop', SIGINT: 'stop', SIGHUP: 'stop' } as const;

let request: StopRequest | undefined;
let isHeld = false;
const controller = new AbortController();
const listeners = new Set<(request: StopRequest) => void>();

/** Receives the signals from now on. To be called at the very beginning: their default action ends the process. */
export function holdSignals() {
  if (isHeld) return;
  isHeld = true;
  for (const [signal, asked] of Object.entries(requests))
    process.on(signal, () => {
      // A job that is cancelled is not started again, whatever came before.
      if (request === asked || request === 'stop') return;
      request = asked;
      for (const listener of listeners) listener(asked);
      controller.abort();
    });
}

export interface JobSignals {
  /** Aborted by the first signal, which may have come before this was called. */
  readonly signal: AbortSignal;
  /** What the signals so far ask for; undefined: none has come. */
  request(): StopRequest | undefined;
}

/** The signals that this process has received; `onRequest` is called for those so far and for each later one. */
export function jobSignals(onRequest: (request: StopRequest) => void): JobSignals {
  holdSignals();
  if (request !== undefined) onRequest(request);
  listeners.add(onRequest);
  return { signal: controller.signal, request: () => request };
}
