// trainer:endurance: kills a training run again and again, starts it again each time, and compares the finished run with an
// undisturbed one. Half of the kills come at random times, half at the writing of a member's files. With processes, a kill meets the
// process of a member, the coordinator alone, or all processes at once.
import { existsSync, readFileSync, watch } from 'node:fs';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { clearInterval, clearTimeout, setInterval, setTimeout } from 'node:timers';
import { differences } from './compare.mjs';
import { endOf, openWorkplace, readOptions, runOf } from './trainer.mjs';

const USAGE = `Usage: nx run trainer:endurance -- [options]

Trains small members on phantom scans, kills the trainer with SIGKILL and starts it again, until the run is finished. Members write
checkpoints inside their epochs too. With --isolation process, every third kill meets the process of one member, which the trainer
starts again, and every third the coordinator, without the processes of its members.
The last line is a summary in JSON. The exit code is 0 only if every run ended with the bytes of an undisturbed run, no
temporary file was left and no start failed.

  --kills N          number of kills (default: 100)
  --seed N           seed of the times and of the writes at which the trainer is killed (default: 1)
  --writes SHARE     share of the kills that are aimed at the writing of files, 0 to 1 (default: 0.5)
  --kills-per-run N  kills of one run before it may finish undisturbed (default: 5)
  --members N        number of members (default: 2)
  --at-once N        number of runs at the same time (default: 1)
  --isolation KIND   thread or process (default: thread)
  --devices LIST     devices of the trainer (default: cpu:1,cpu:1)
  --work DIR         folder for the runs, outside of the repository (default: the system's folder for temporary files)
  --keep             keep all runs; without it, only runs that differ are kept
`;

const options = readOptions(
  {
    kills: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    writes: { type: 'string', default: '0.5' },
    'kills-per-run': { type: 'string', default: '5' },
    members: { type: 'string', default: '2' },
    'at-once': { type: 'string', default: '1' },
    isolation: { type: 'string', default: 'thread' },
    devices: { type: 'string', default: 'cpu:1,cpu:1' },
  },
  {
    usage: USAGE,
    numbers: {
      kills: { min: 1, max: 1e6, isWhole: true },
      seed: { min: 0, max: 2 ** 32 - 1, isWhole: true },
      writes: { min: 0, max: 1 },
      members: { min: 1, max: 10, isWhole: true },
      'at-once': { min: 1, max: 64, isWhole: true },
      'kills-per-run': { min: 1, max: 100, isWhole: true },
    },
  },
);

const members = Array.from({ length: options.members }, (_, i) => `member${i + 1}`);
/** A member writes six to ten files an epoch, beside its progress. */
const WRITES_AHEAD = 40;
/** Some kills come when the new file is being written, others after it was renamed. */
const MOST_DELAY = 15; // ms

/** A member is given up after three failures without progress in between. */
const MOST_OF_MEMBERS = 3;

const begun = performance.now();
const workplace = await openWorkplace({
  ...options,
  members,
  epochs: 16,
  trainerOptions: ['--isolation', options.isolation, '--checkpoint-minutes', '0.001'],
});
const reference = join(workplace.folder, 'undisturbed');
const undisturbed = await mustFinish(reference);
const again = join(workplace.folder, 'undisturbed-again');
await mustFinish(again);
const unequal = differences(again, reference);
if (unequal.length > 0)
  fail(`Two undisturbed runs differ, so nothing can be compared: ${unequal.join('; ')}`);
workplace.remove(again);
console.log(`Two undisturbed runs are equal. The first took ${Math.round(undisturbed.ms)} ms.`);

/** Kills that are done or still to come in a start that goes on. */
const allPlanned = { all: 0, atWrites: 0 };
const count = {
  kills: 0,
  ofMembers: 0,
  ofCoordinators: 0,
  atRandomTimes: 0,
  atWrites: 0,
  runs: 0,
  starts: 0,
  missed: 0,
  different: 0,
  failed: 0,
};
/** File at whose writing the trainer was killed → number of kills. */
const killedAt = {};
/** How far the run was → number of kills. */
const stages = {};
await Promise.all(
  Array.from({ length: options['at-once'] }, async () => {
    while (allPlanned.all < options.kills) await killedRun(++count.runs);
  }),
);

const isEqual = count.different === 0 && count.failed === 0;
if (isEqual && !options.keep) workplace.remove(workplace.folder);
else console.log(`The runs are kept in ${workplace.folder}`);
const seconds = Math.round((performance.now() - begun) / 1000);
console.log(JSON.stringify({ ...count, isEqual, seed: options.seed, seconds, stages, killedAt }));
process.exitCode = isEqual ? 0 : 1;

/** Starts one run until it is finished, kills it on the way, and compares it. */
async function killedRun(number) {
  const place = join(workplace.folder, `run-${number}`);
  const random = mulberry32(Math.imul(options.seed, 0x9e3779b1) + number);
  const told = [];
  for (;;) {
    const attack = attackOn(place, { random, told });
    const ended = await workplace.start(place, { arm: attack.arm });
    count.starts++;
    attack.end();
    if (ended.signal === 'SIGKILL') continue;
    const hasFinished = ended.code === 0;
    const problems = hasFinished
      ? differences(place, reference)
      : [`start ended with ${ended.signal ?? ended.code}`];
    if (!hasFinished) count.failed++;
    else if (problems.length > 0) count.different++;
    const verdict = problems.length > 0 ? `DIFFERENT: ${problems.join('; ')}` : 'equal';
    console.log(
      `run ${number}, killed at ${told.join(', ') || 'no time'}: ${verdict} (${count.kills} kills so far)`,
    );
    if (!hasFinished) console.log(endOf(ended.output));
    if (problems.length === 0 && !options.keep) workplace.remove(place);
    return;
  }
}

/** The kills of one start: any number of members' processes, then the coordinator. */
function attackOn(place, { random, told }) {
  let ofMembers = 0;
  let planned;
  let disarm = () => {};
  const aimNext = (killAll, killCoordinator) => {
    planned = undefined;
    if (told.length >= options['kills-per-run'] || allPlanned.all >= options.kills) return;
    const kind = allPlanned.atWrites < options.writes * (allPlanned.all + 1) ? 'atWrites' : 'atRandomTimes';
    plan((planned = kind), 1);
    const aim = kind === 'atWrites' ? atWrite(place, random) : atTime(random() * undisturbed.ms);
    disarm = aim.arm(() => {
      disarm();
      const target = targetOf(place, { random, mayBeMember: ofMembers < MOST_OF_MEMBERS });
      count.kills++;
      count[kind]++;
      planned = undefined;
      told.push(`${aim.file ?? 'a random time'}${target.name}`);
      if (aim.file !== undefined) increment(killedAt, aim.file);
      increment(stages, stageOf(place));
      if (target.pid !== undefined) {
        ofMembers++;
        count.ofMembers++;
        killProcess(target.pid);
        return aimNext(killAll, killCoordinator);
      }
      if (target.isCoordinator) count.ofCoordinators++;
      return target.isCoordinator ? killCoordinator() : killAll();
    });
  };
  return {
    arm(killAll, killCoordinator) {
      aimNext(killAll, killCoordinator);
      return () => disarm();
    },
    /** A kill that was planned for this start, and did not come before its end, comes in another one. */
    end() {
      disarm();
      if (planned === undefined) return;
      plan(planned, -1);
      count.missed++;
    },
  };
}

/** Whom a kill meets: all processes of the trainer; with processes for members also one of these, or the coordinator alone. */
function targetOf(place, { random, mayBeMember }) {
  const among = options.isolation === 'thread' ? 1 : 3;
  const choice = Math.floor(random() * among);
  if (choice === 1) return { isCoordinator: true, name: ' (coordinator)' };
  const pids = members.map((member) => processOf(place, member)).filter((pid) => pid !== undefined);
  if (choice === 0 || !mayBeMember || pids.length === 0) return { name: '' };
  return { pid: pids[Math.floor(random() * pids.length)], name: ' (member)' };
}

function processOf(place, member) {
  try {
    return JSON.parse(readFileSync(join(runOf(place), 'members', member, '.process.json'), 'utf8')).pid;
  } catch {
    return undefined; // It has not begun, or has ended.
  }
}

function killProcess(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has just ended.
  }
}

function plan(kind, change) {
  allPlanned.all += change;
  if (kind === 'atWrites') allPlanned.atWrites += change;
}

/** Kills after this time, in ms. */
function atTime(ms) {
  const arm = (kill) => {
    const timer = setTimeout(kill, ms);
    return () => clearTimeout(timer);
  };
  return { arm };
}

/**
 * Kills at the n-th temporary file that appears in the members' folders, at once or some milliseconds later; n is random.
 * `file` names the file that was being written.
 */
function atWrite(place, random) {
  let left = 1 + Math.floor(random() * WRITES_AHEAD);
  const delay = random() < 0.5 ? 0 : random() * MOST_DELAY;
  const folders = members.flatMap((member) =>
    ['.', 'checkpoints', 'probabilities'].map((folder) => join(runOf(place), 'members', member, folder)),
  );
  const watchers = new Map();
  const aim = { file: undefined, arm };
  function arm(kill) {
    let timer;
    const seen = new Set();
    const onEvent = (_, file) => {
      if (!file?.endsWith('.tmp') || file.startsWith('.progress.json') || seen.has(file)) return;
      seen.add(file);
      if (--left !== 0) return;
      aim.file = file.split('.').slice(1, 3).join('.');
      if (delay === 0) kill();
      else timer = setTimeout(kill, delay);
    };
    const look = setInterval(() => {
      for (const folder of folders)
        if (!watchers.has(folder) && existsSync(folder)) watchers.set(folder, watch(folder, onEvent));
    }, 5);
    return () => {
      clearInterval(look);
      clearTimeout(timer);
      for (const watcher of watchers.values()) watcher.close();
    };
  }
  return aim;
}

function stageOf(place) {
  const has = (...path) => existsSync(join(runOf(place), ...path));
  if (!has('scans.msgpack')) return 'preparation';
  const isAny = (...path) => members.some((member) => has('members', member, ...path));
  if (isAny('done.json')) return 'after the first finished member';
  return isAny('checkpoints', 'last.safetensors') ? 'training' : 'first epoch';
}

async function mustFinish(place) {
  const ended = await workplace.start(place);
  if (ended.code !== 0)
    fail(`An undisturbed run ended with ${ended.signal ?? ended.code}:\n${endOf(ended.output)}`);
  return ended;
}

function fail(message) {
  console.error(message);
  process.exit(2);
}

function increment(counts, key) {
  counts[key] = (counts[key] ?? 0) + 1;
}

/** A generator of numbers from 0 to below 1: mulberry32 by Tommy Ettinger. */
function mulberry32(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
