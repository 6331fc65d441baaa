// Progress of counted work, and durations in words.

/** A progress line for counted work: rewritten in place on a terminal, a line every tenth elsewhere. */
export function counter(what: string): (done: number, total: number, detail?: string) => void {
  let told = -1;
  return (done, total, detail = '') => {
    if (process.stdout.isTTY) {
      process.stdout.write(`\r\x1b[K${what}: ${done}/${total} ${done < total ? detail : '\n'}`);
      return;
    }
    const tenth = Math.floor((10 * done) / total);
    if (tenth === told && done < total) return;
    told = tenth;
    console.log(`${what}: ${done}/${total}`);
  };
}

/** Lines with rate and time left, one every five seconds and one at the end; otherwise undefined. */
export function pace() {
  const started = performance.now();
  let told = started;
  return (done: number, total: number): string | undefined => {
    const now = performance.now();
    if (done < total && now - told < 5000) return undefined;
    told = now;
    const rate = (done / (now - started)) * 1000;
    return `${done}/${total} scans, ${rate.toFixed(1)} a second, ${duration((total - done) / rate)} left`;
  };
}

/** A duration in seconds, in the unit that suits its length: `42 s`, `12 min`, `1.5 h`. */
export function duration(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
