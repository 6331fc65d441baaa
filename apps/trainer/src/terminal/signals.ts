// Ctrl-C and SIGTERM: the first one asks the command to stop, the second one ends the process.
import { print } from '@ct-ensemble/core';

/** Aborts `signal` at the first Ctrl-C or SIGTERM, ends the process with exit code 130 at the second. */
export function stopOnSignal(): { signal: AbortSignal; release: () => void } {
  const controller = new AbortController();
  const stop = () => {
    if (controller.signal.aborted) process.exit(130);
    print('Stopping after the current step. Press Ctrl-C again to stop immediately.');
    controller.abort();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  return {
    signal: controller.signal,
    release: () => void process.off('SIGINT', stop).off('SIGTERM', stop),
  };
}
