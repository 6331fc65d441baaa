// trainer:endurance-renames: kills a training run before one of its renames, or before one of its checkpoints gets a second name or is
// removed, lets it finish, and compares it with an undisturbed run. Every kind of file that a run and its store of volumes write has its turn.
import { readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { differences } from './compare.mjs';
import { endOf, openWorkplace, readOptions } from './trainer.mjs';

const USAGE = `Usage: nx run trainer:endurance-renames -- [options]

Files are written under a temporary name and renamed; the checkpoint before gets a second name (link) and is removed later (rm). This
program kills the trainer with SIGKILL before the first, the second and the last of these changes of each name, each in a run of its own,
and some runs once more while they resume. The last line
is a summary in JSON. The exit code is 0 only if every run ended with the bytes of an undisturbed run, no temporary file was
left and no start failed.

  --every         kill before every change, not only the first, the second and the last of each name
  --at-once N     number of runs at the same time (default: 1)
  --devices LIST  devices of the trainer (default: cpu:1)
  --work DIR      folder for the runs, outside of the repository (default: the system's folder for temporary files)
  --keep          keep all runs; without it, only runs that differ are kept
`;

const options = readOptions(
  {
    every: { type: 'boolean', default: false },
    'at-once': { type: 'string', default: '1' },
    devices: { type: 'string', default: 'cpu:1' },
  },
  { usage: USAGE, numbers: { 'at-once': { min: 1, max: 64, isWhole: true } } },
);

const hook = new URL('./rename-hook.mjs', import.meta.url).href;
const member = join('run', 'members', 'member1');
const begun = performance.now();
const workplace = await openWorkplace({ ...options, members: ['member1'], epochs: 16 });
const reference = join(workplace.folder, 'undisturbed');
const undisturbed = await hooked(reference, {});
if (undisturbed.code !== 0)
  fail(`The undisturbed run ended with ${undisturbed.code}:\n${endOf(undisturbed.output)}`);

const renames = timesOfNames(readFileSync(logOf(reference), 'utf8').split('\n').filter(Boolean));
/** Each is a list of kills: the renames before which the first start, the second start … of one run are killed. */
const cases = [...oncePerRename(), ...whileResuming()];
console.log(`The undisturbed run changed ${renames.size} names; ${cases.length} runs are killed.`);

const count = { kills: 0, runs: 0, starts: 1, different: 0, failed: 0 };
/** Kind of file → number of kills. */
const killedAt = {};
const waiting = [...cases.entries()];
await Promise.all(
  Array.from({ length: options['at-once'] }, async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await killedRun(...next);
  }),
);

const isEqual = count.different === 0 && count.failed === 0;
if (isEqual && !options.keep) workplace.remove(workplace.folder);
else console.log(`The runs are kept in ${workplace.folder}`);
const seconds = Math.round((performance.now() - begun) / 1000);
console.log(JSON.stringify({ ...count, isEqual, seconds, killedAt }));
process.exitCode = isEqual ? 0 : 1;

/** New name → how often a file was renamed to it. */
function timesOfNames(names) {
  const times = new Map();
  for (const name of names) times.set(name, (times.get(name) ?? 0) + 1);
  return times;
}

/** Of the files of the store, which are named by hashes, one of each kind is enough unless all were asked for. */
function oncePerRename() {
  const kinds = new Set();
  return [...renames].flatMap(([file, last]) => {
    const kind = kindOf(file);
    if (!options.every && kind !== file && kinds.has(kind)) return [];
    kinds.add(kind);
    const all = Array.from({ length: last }, (_, i) => i + 1);
    return all.filter((time) => options.every || time <= 2 || time === last).map((time) => [{ file, time }]);
  });
}

/** A start that resumes writes config.json twice, completes the change of the best checkpoint, mends the copies, and at its end removes the previous checkpoint. */
function whileResuming() {
  const inMember = (name) => join(member, name);
  const inCheckpoints = (name) => inMember(join('checkpoints', `${name}.safetensors`));
  const best = inCheckpoints('best');
  const first = { file: best, time: renames.get(best) };
  const then = [
    ['config.json', 1],
    ['config.json', 2],
    [join('checkpoints', 'best.safetensors'), 1],
    [join('checkpoints', 'last.json'), 1],
    [join('checkpoints', 'best.json'), 1],
    ['history.jsonl', 1],
  ];
  const kept = [`link ${inCheckpoints('previous-best')}`, `rm ${inCheckpoints('previous')}`];
  return [
    ...then.map(([name, time]) => ({ file: inMember(name), time })),
    ...kept.map((file) => ({ file, time: 1 })),
  ].map((kill) => [first, kill]);
}

/** Kills the starts of one run before the given renames, lets the next start finish the run, and compares it. */
async function killedRun(i, kills) {
  const place = join(workplace.folder, `run-${i + 1}`);
  const name = kills.map(({ file, time }) => `change ${time} of ${file}`).join(', then before ');
  count.runs++;
  const { problems, output } = await problemsAfter(place, kills);
  console.log(
    `killed before ${name}: ${problems.length > 0 ? `DIFFERENT: ${problems.join('; ')}` : 'equal'}`,
  );
  if (output !== undefined) console.log(endOf(output));
  if (problems.length > 0 || options.keep) return;
  workplace.remove(place);
  workplace.remove(logOf(place));
}

async function problemsAfter(place, kills) {
  for (const kill of kills) {
    const { signal, code, output } = await hooked(place, kill);
    count.starts++;
    if (signal === 'SIGKILL') {
      count.kills++;
      killedAt[kindOf(kill.file)] = (killedAt[kindOf(kill.file)] ?? 0) + 1;
      continue;
    }
    count.failed++;
    return { problems: [`a start ended with ${code} before this change`], output };
  }
  const { signal, code, output } = await workplace.start(place);
  count.starts++;
  if (code !== 0) {
    count.failed++;
    return { problems: [`the last start ended with ${signal ?? code}`], output };
  }
  const problems = differences(place, reference);
  if (problems.length > 0) count.different++;
  return { problems };
}

/** Starts the trainer with the hook; a new log begins. */
function hooked(place, kill) {
  workplace.remove(logOf(place));
  const env = { ENDURANCE_LOG: logOf(place), ENDURANCE_PLACE: place, ENDURANCE_KILL: JSON.stringify(kill) };
  return workplace.start(place, { node: ['--import', hook], env });
}

function logOf(place) {
  return `${place}.renames`;
}

function kindOf(file) {
  return file.startsWith('volumes') ? join(dirname(file), `*${extname(file)}`) : file;
}

function fail(message) {
  console.error(message);
  process.exit(2);
}
