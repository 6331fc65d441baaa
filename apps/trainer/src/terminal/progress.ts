// Progress of counted work, and durations as text.
import { print, printable } from '@ct-ensemble/core';

/** Prints the progress of counted work: one line rewritten in place on a terminal, else a line for every tenth. */
export function counter(what: string): (done: number, total: number, detail?: string) => void {
  let printedTenth = -1;
  return (done, total, detail = '') => {
    if (process.stdout.isTTY) {
      process.stdout.write(`\r\x1b[K${what}: ${done}/${total} ${done < total ? printable(detail) : '\n'}`);
      return;
    }
    const tenth = Math.floor((10 * done) / total);
    if (tenth === printedTenth && done < total) return;
    printedTenth = tenth;
    print(`${what}: ${done}/${total}`);
  };
}

/** Returns a line with rate and remaining time every five seconds and at the end, otherwise undefined. */
export function pace() {
  const started = performance.now();
  let printed = started;
  return (done: number, total: number): string | undefined => {
    const now = performance.now();
    if (done < total && now - printed < 5000) return undefined;
    printed = now;
    const rate = (done / (now - started)) * 1000;
    return `${done}/${total} scans, ${rate.toFixed(1)} per second, ${duration((total - done) / rate)} left`;
  };
}

/** A number of seconds as text, in a unit that suits it: `42 s`, `12 min`, `1.5 h`. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
