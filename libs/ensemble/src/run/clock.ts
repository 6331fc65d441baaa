// The clock that the scheduler waits by: the machine's, or a virtual one that simulations and tests advance themselves.

export interface Clock {
  /** Seconds since an arbitrary moment; never runs backwards. */
  now(): number;
  /** Resolves after so many seconds, or at once when the signal is aborted. */
  sleep(seconds: number, signal?: AbortSignal): Promise<void>;
}

/** The machine's monotonic clock, which changes of the date do not affect. */
export const realClock: Clock = {
  now: () => performance.now() / 1000,
  sleep: (seconds, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const timer = setTimeout(end, seconds * 1000);
      function end() {
        clearTimeout(timer);
        signal?.removeEventListener('abort', end);
        resolve();
      }
      signal?.addEventListener('abort', end, { once: true });
    }),
};

/** A clock whose time passes only while nothing else is to be done. */
export interface VirtualClock extends Clock {
  /** Lets time pass until the promise is settled, and returns its value. */
  drive<Value>(promise: Promise<Value>): Promise<Value>;
}

export function virtualClock(): VirtualClock {
  let now = 0;
  const timers = new Set<{ at: number; end: () => void }>();
  return {
    now: () => now,
    sleep: (seconds, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted) return resolve();
        const timer = { at: now + seconds, end };
        function end() {
          timers.delete(timer);
          signal?.removeEventListener('abort', end);
          resolve();
        }
        timers.add(timer);
        signal?.addEventListener('abort', end, { once: true });
      }),
    async drive(promise) {
      let isSettled = false;
      const settle = () => void (isSettled = true);
      promise.then(settle, settle);
      for (;;) {
        await new Promise(setImmediate); // Whatever is ready to run at this moment runs first.
        if (isSettled) return promise;
        const [next] = [...timers].sort((a, b) => a.at - b.at);
        if (next === undefined) throw new Error('the virtual clock has nothing to wait for');
        now = Math.max(now, next.at);
        next.end();
      }
    },
  };
}
