// One task after the other: who waits for the device, in the order of arrival.

interface Waiting {
  start(): void;
}

/** Runs tasks one at a time. */
export class Turns {
  readonly #waiting = new Set<Waiting>();
  #isBusy = false;

  /** Tasks that wait for their turn. */
  get waiting(): number {
    return this.#waiting.size;
  }

  get isBusy(): boolean {
    return this.#isBusy;
  }

  /** Runs the task when those before it have ended. A task whose signal is aborted before its turn never starts. */
  async run<T>(task: () => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#turn(signal);
    try {
      return await task();
    } finally {
      const [next] = this.#waiting;
      if (next === undefined) this.#isBusy = false;
      else next.start();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#isBusy) {
      this.#isBusy = true;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.delete(own);
        signal.removeEventListener('abort', onAbort);
      };
      const own: Waiting = {
        start() {
          leave();
          resolve();
        },
      };
      const onAbort = () => {
        leave();
        reject(signal.reason as Error);
      };
      this.#waiting.add(own);
      signal.addEventListener('abort', onAbort);
    });
  }
}
