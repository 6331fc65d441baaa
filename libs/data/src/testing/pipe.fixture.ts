// Named pipes, for tests of files that are not regular. A reader that opens one the usual way waits for ever.
import { spawnSync } from 'node:child_process';

/** `test`, or a skipped test where there is no `mkfifo` (Windows). */
export const testWithPipes =
  spawnSync('mkfifo', ['--help']).error === undefined ? test : (test.skip as typeof test);

export function makePipe(path: string): string {
  const made = spawnSync('mkfifo', [path]);
  if (made.status !== 0) throw new Error(`mkfifo ${path}: ${String(made.stderr)}`);
  return path;
}
