// What both endurance programs share: a folder with phantom scans and a recipe of small members, and starts of the trainer.
import { makePhantoms } from '@ct-ensemble/phantoms';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve, sep } from 'node:path';
import { performance } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const repository = fileURLToPath(new URL('../../..', import.meta.url));
const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));

/** Options of both programs. */
export const sharedOptions = {
  work: { type: 'string', default: tmpdir() },
  keep: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
};

/** Reads the command line. Prints the usage or the mistake and ends the program where there is nothing to run. */
export function readOptions(options, { usage, numbers }) {
  try {
    const { values } = parseArgs({ options: { ...sharedOptions, ...options } });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    for (const [name, { min, max, isWhole }] of Object.entries(numbers)) {
      const value = Number(values[name]);
      if (!(value >= min && value <= max) || (isWhole && !Number.isInteger(value)))
        throw new Error(
          `--${name} is ${values[name]}, expected ${isWhole ? 'an integer' : 'a number'} from ${min} to ${max}`,
        );
      values[name] = value;
    }
    return values;
  } catch (error) {
    console.error(`${error.message}; see --help`);
    process.exit(2);
  }
}

const recipeOf = (members, epochs) => `name: endurance
task: detection
description: Small members that train in seconds.
volume: { depth: 8, height: 24, width: 24 }
members:
${members.map((name, i) => `  - { name: ${name}, architecture: densenet_small, seed: ${i + 1} }`).join('\n')}
training:
  epochs: ${epochs}
  batchSize: 3
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 0.003 }, { from: ${epochs - 1}, rate: 0.0002 }]
  augmentation: { rotate: 10, flipHorizontal: 0.5 }
submissions:
  - { name: all, members: [${members.join(', ')}] }
`;

/**
 * Makes a new folder below `work` with 16 phantom scans and a recipe of small members.
 *
 * @returns the folder, and `start`, which starts the trainer: see below
 */
export async function openWorkplace({ work, members, epochs, devices, trainerOptions = [] }) {
  refuseRepository(resolve(work));
  mkdirSync(work, { recursive: true });
  refuseRepository(realpathSync(work));
  const folder = mkdtempSync(join(realpathSync(work), 'ct-ensemble-endurance-'));
  const [recipe, data] = [join(folder, 'endurance.yaml'), join(folder, 'data')];
  writeFileSync(recipe, recipeOf(members, epochs));
  const ofEach = (scans) => ({ covid: scans, 'non-covid': scans });
  const counts = { train: ofEach(4), val: ofEach(3), test: ofEach(1) };
  await makePhantoms({ folder: data, seed: 3, size: 48, counts });

  const running = new Set();
  process.on('exit', () => running.forEach(kill));
  for (const [signal, code] of Object.entries({ SIGINT: 130, SIGTERM: 143 }))
    process.on(signal, () => process.exit(code));

  /**
   * Starts the trainer and waits for its end. The run and its store of volumes lie below `place`.
   *
   * @param arm called with two functions: one kills the trainer with all its processes, the other only its first process, the
   *   coordinator; returns what disarms it
   * @returns code, signal, output, and ms
   */
  async function start(place, { arm, node = [], env = {} } = {}) {
    const started = performance.now();
    const args = ['--data', data, '--recipe', recipe, '--devices', devices, ...trainerOptions];
    const trainer = spawn(
      process.execPath,
      [...node, main, 'all-members', ...args, '--run', runOf(place), '--volumes', storeOf(place)],
      {
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe'],
        cwd: folder,
        env: { ...process.env, UV_THREADPOOL_SIZE: '32', ...env },
      },
    );
    running.add(trainer);
    let output = '';
    for (const stream of [trainer.stdout, trainer.stderr]) stream.on('data', (piece) => (output += piece));
    const disarm = arm?.(
      () => kill(trainer),
      () => trainer.kill('SIGKILL'),
    );
    const [code, signal] = await once(trainer, 'close');
    running.delete(trainer);
    disarm?.();
    return { code, signal, output, ms: performance.now() - started };
  }

  const remove = (place) => rmSync(place, { recursive: true, force: true });
  return { folder, start, remove };
}

function refuseRepository(work) {
  if (!`${work}${sep}`.startsWith(realpathSync(repository) + sep)) return;
  console.error(`--work is ${work}, which lies in the repository; name a folder outside of it`);
  process.exit(2);
}

/** Kills the trainer's whole process group. */
function kill({ pid }) {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The trainer has ended already.
  }
}

export const runOf = (place) => join(place, 'run');
export const storeOf = (place) => join(place, 'volumes');

/** The end of a trainer's output, indented. */
export const endOf = (output) => output.trimEnd().slice(-2000).replace(/^/gm, '    ');
