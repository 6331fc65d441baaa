// Loaded into the trainer and its worker threads by --import: notes every rename, and every second name (link) and removal (rm) of a
// checkpoint in ENDURANCE_LOG, a line each with the new or removed name relative to ENDURANCE_PLACE. Kills the process before the one
// that ENDURANCE_KILL names.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { relative } from 'node:path';

const { rename, link, rm } = promises;
const { ENDURANCE_LOG: log, ENDURANCE_PLACE: place, ENDURANCE_KILL: kill = '{}' } = process.env;
const { file, time } = JSON.parse(kill);

/** Replaced by the clock or named after it, so they differ from run to run; no training depends on them. */
const informing = /(^|[/\\])((progress|coordinator)\.json|tensorboard[/\\].*)$/;

function note(line) {
  appendFileSync(log, `${line}\n`); // All threads write to the same log.
  const times = () =>
    readFileSync(log, 'utf8')
      .split('\n')
      .filter((other) => other === line).length;
  if (line === file && times() === time) process.kill(process.pid, 'SIGKILL');
}

const isCheckpoint = (name) => name.endsWith('.safetensors');

promises.rename = async (from, to) => {
  const name = relative(place, to);
  if (!informing.test(name)) note(name);
  return rename(from, to);
};
promises.link = async (from, to) => {
  if (isCheckpoint(to)) note(`link ${relative(place, to)}`);
  return link(from, to);
};
promises.rm = async (path, options) => {
  if (typeof path === 'string' && isCheckpoint(path) && existsSync(path)) note(`rm ${relative(place, path)}`);
  return rm(path, options);
};
syncBuiltinESMExports();
