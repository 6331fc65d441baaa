// Compares two finished runs and their stores of volumes, file by file and byte by byte. Left out of the comparison are
// durations, the device in config.json, the times of files that the store notes in its folder `seen`, and the content of files that
// tell how the training went (progress.json, log.txt, coordinator.json).
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';

/**
 * Describes every difference between the files below `place` and those below `reference`, and every file that a killed
 * process has left. An empty list means that the two are equal.
 */
export function differences(place, reference) {
  const [found, expected] = [place, reference].map(contents);
  const problems = [];
  for (const name of new Set([...found.keys(), ...expected.keys()])) {
    if (isLeftover(name)) problems.push(`${name} was left`);
    else if (!found.has(name)) problems.push(`${name} is missing`);
    else if (!expected.has(name)) problems.push(`${name} is not in the undisturbed run`);
    else if (found.get(name) !== expected.get(name)) problems.push(`${name} differs`);
  }
  return problems;
}

/** Temporary files, claims and notes of processes. */
const isLeftover = (name) =>
  name.endsWith('.tmp') || basename(name).startsWith('.claim') || basename(name) === '.process.json';

/** Relative path of each file → what must be equal. Files for TensorBoard have times in their names and content. */
function contents(place) {
  const files = readdirSync(place, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  return new Map(
    files
      .filter(({ parentPath }) => basename(parentPath) !== 'tensorboard')
      .map(({ parentPath, name }) => {
        const file = join(parentPath, name);
        return [relative(place, file), isLeftover(name) ? '' : contentOf(file)];
      }),
  );
}

function contentOf(file) {
  const bytes = readFileSync(file);
  if (basename(dirname(file)) === 'seen') return JSON.stringify(JSON.parse(bytes.toString()), withoutTime);
  switch (basename(file)) {
    case 'progress.json':
    case 'coordinator.json':
    case 'log.txt':
      return '';
    case 'history.jsonl':
      return JSON.stringify(bytes.toString().split('\n').filter(Boolean).map(withoutDurations));
    case 'config.json':
      return JSON.stringify(withoutDevice(JSON.parse(bytes.toString())));
    default:
      return createHash('sha256').update(bytes).digest('hex');
  }
}

/** The engine's description ends with the device: "TensorFlow 2.21.0 on CPU:1". */
const withoutDevice = ({ member, engine, history, ...rest }) => ({
  ...rest,
  member: { ...member, device: undefined },
  engine: withoutNumber(engine),
  history: history.map((entry) => ({ ...entry, device: undefined, engine: withoutNumber(entry.engine) })),
});
const withoutNumber = (engine) => engine.replace(/ on CPU:\d+$/, '');

/** Times of files are numbers of milliseconds since 1970. */
const withoutTime = (_, value) => (typeof value === 'number' && value > 1e12 ? 'time' : value);

function withoutDurations(line) {
  const epoch = JSON.parse(line);
  delete epoch.seconds;
  delete epoch.waited;
  return epoch;
}
