// For tests: a small data set and recipe, and `trainer all-members` in a process of its own.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makePhantoms } from '@ct-ensemble/phantoms';

const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

export interface TinyRecipe {
  epochs: number;
  /** Height and width of a slice in pixels. */
  edge: number;
  members?: readonly ('one' | 'two')[];
}

/** A recipe of small members. */
export const recipeOf = ({ epochs, edge, members = ['one', 'two'] }: TinyRecipe) => `
name: tiny
task: detection
description: Small members for the test.
volume: { depth: 8, height: ${edge}, width: ${edge} }
members:
${members.map((name) => `  - { name: ${name}, architecture: densenet_small, seed: ${name === 'one' ? 1 : 2} }`).join('\n')}
training:
  epochs: ${epochs}
  batchSize: 3
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 0.001 }]
  augmentation: { rotate: 10, flipHorizontal: 0.5 }
submissions:
  - { name: all, members: [${members.join(', ')}] }
`;

/** Writes data/ (14 phantom scans) and tiny.yaml into the folder. */
export async function writeInputs(folder: string, recipe: TinyRecipe) {
  const counts = {
    train: { covid: 4, 'non-covid': 4 },
    val: { covid: 2, 'non-covid': 2 },
    test: { covid: 1, 'non-covid': 1 },
  };
  await makePhantoms({ folder: join(folder, 'data'), seed: 3, counts, size: 48 });
  await writeFile(join(folder, 'tiny.yaml'), recipeOf(recipe));
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  output: string;
}

const children = new Set<ChildProcess>();

/** Kills the processes that a failed test has left behind. */
export function killTrainings() {
  for (const child of children) child.kill('SIGKILL');
}

export interface TrainCommandOptions {
  /** Called with the whole output after each piece of it. */
  watch?: (output: string, kill: (signal: NodeJS.Signals) => void) => void;
  recipe?: string;
  /** Further arguments of the command. */
  args?: readonly string[];
  /** Arguments of Node. */
  node?: readonly string[];
  /** A command that the trainer is started with; its arguments follow. */
  before?: readonly string[];
}

/** Trains a recipe in `folder`, tiny.yaml by default, into the run `name`. */
export async function train(
  folder: string,
  name: string,
  { watch = () => {}, recipe = 'tiny.yaml', args = [], node = [], before = [] }: TrainCommandOptions = {},
): Promise<Ended> {
  const own = `all-members --data data --recipe ${recipe} --run ${name} --devices cpu:1,cpu:1 --volumes volumes`;
  const [command, ...words] = [...before, process.execPath, ...node, main, ...own.split(' '), ...args];
  const child = spawn(command!, words, { cwd: folder });
  children.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (piece: Buffer) => {
      output += piece.toString();
      watch(output, (signal) => child.kill(signal));
    });
  }
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  children.delete(child);
  return { code, signal, output };
}

/** The file with a member's probabilities on the test scans. */
export const probabilitiesOf = (folder: string, run: string, member: 'one' | 'two') =>
  readFile(join(folder, run, 'members', member, 'probabilities', 'test.json'), 'utf8');
