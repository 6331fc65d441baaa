// For tests: the programs of the project, and runs of small members that they train.
import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const program = (project: string) =>
  fileURLToPath(new URL(`../../../../${project}/dist/main.js`, import.meta.url));

/** Path of the evaluator's program. */
export const evaluatorProgram = program('apps/evaluator');

/** Path of the trainer's program. */
export const trainerProgram = program('apps/trainer');

/** A short training for the ends of recipes. */
export const shortTraining = (batchSize: number) => `training:
  epochs: 1
  batchSize: ${batchSize}
  loss: { name: focal, gamma: 1.5 }
  optimizer: { name: adam }
  learningRate: [{ from: 0, rate: 0.001 }]
  augmentation: none
`;

const recipe = `
name: tiny
task: detection
description: Three small members for the test.
volume: { depth: 8, height: 16, width: 16, mask: { dilate: 5 } }
members:
  - { name: one, architecture: densenet_small, seed: 1 }
  - { name: two, architecture: densenet_small, seed: 2 }
  - { name: masked, architecture: densenet_small, seed: 3, mask: { dilate: 3 } }
${shortTraining(3)}submissions:
  - { name: both, members: [one, two] }
  - { name: all, members: [one, two, masked] }
`;

/**
 * Makes phantom scans in `folder` and trains the recipe on them: the data set is `data`, the run `run`, the store of volumes
 * `volumes`. Returns what the trainer printed.
 * @throws {Error} with the standard error of a program that fails
 */
export async function trainRun(
  folder: string,
  {
    text,
    phantoms,
    devices = 'cpu:1',
    before,
    options: more,
  }: {
    text: string;
    phantoms: readonly string[];
    devices?: string;
    /** Done before the training, when the scans are there. */
    before?: () => Promise<void>;
    /** Further options of the training. */
    options?: string;
  },
): Promise<string> {
  await writeFile(join(folder, 'tiny.yaml'), text);
  const node = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
    return stdout;
  };
  node(program('tools/phantoms'), '--out', 'data', ...phantoms);
  await before?.();
  const options = `--data data --recipe tiny.yaml --run run --devices ${devices} --volumes volumes${more === undefined ? '' : ` ${more}`}`;
  return node(trainerProgram, 'all-members', ...options.split(' '));
}

/** Trains three small members in `folder`, two of which see the same volumes and one masked ones. */
export const trainTiny = (folder: string) =>
  trainRun(folder, { text: recipe, phantoms: ['--scans', '12', '--size', '32'], devices: 'cpu:1,cpu:1' });
