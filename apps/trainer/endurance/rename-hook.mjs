// Loaded into the trainer and its worker threads by --import: notes every rename in ENDURANCE_LOG, a line each with the new
// name relative to ENDURANCE_PLACE, and kills the process before the rename that ENDURANCE_KILL names.
import { appendFileSync, readFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { relative } from 'node:path';

const { ENDURANCE_LOG: log, ENDURANCE_PLACE: place, ENDURANCE_KILL: kill = '{}' } = process.env;
const { file, time } = JSON.parse(kill);
const { rename } = promises;

/** Replaced by the clock, so their number differs from run to run; no training depends on them. */
const informing = /(^|[/\\])(progress|coordinator)\.json$/;

promises.rename = async (from, to) => {
  const name = relative(place, to);
  if (informing.test(name)) return rename(from, to);
  appendFileSync(log, `${name}\n`); // All threads write to the same log.
  const times = () =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line === name).length;
  if (name === file && times() === time) process.kill(process.pid, 'SIGKILL');
  return rename(from, to);
};
syncBuiltinESMExports();
