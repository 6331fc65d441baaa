// For tests: a trained run of two small members, its ensemble file, and the commands on it.
import { spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { evaluatorProgram, shortTraining, trainRun } from '../testing/tiny-run.ts';

const recipe = `
name: tiny
task: detection
description: Small members for the test.
volume: { depth: 4, height: 32, width: 32, slices: lung, mask: { dilate: 5 } }
members:
  - { name: one, architecture: densenet_small, seed: 1 }
  - { name: two, architecture: densenet_small, seed: 2, mask: { dilate: 3 } }
${shortTraining(3)}submissions:
  - { name: all, members: [one, two] }
  - { name: first, members: [one] }
`;

/** A line of `predict --json`. */
export interface Line {
  scan: string;
  content: string;
  failure: string | null;
  members: number[][];
  probabilities: number[];
  findings: { kind: string; message: string }[];
}

export const linesOf = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);

export interface NodeOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  /** The binary of Node. */
  program?: string;
}

/** Makes phantom scans in data/, trains run/ and packs it into a.ctens, all in a new folder. */
export async function packedRun() {
  const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-predict-'));
  const node = (
    args: readonly string[],
    { cwd = folder, env = {}, program = process.execPath }: NodeOptions = {},
  ) => spawnSync(program, args, { cwd, encoding: 'utf8', env: { ...process.env, ...env } });
  const evaluator = (args: readonly string[], options: NodeOptions = {}) =>
    node([evaluatorProgram, ...args], options);
  await trainRun(folder, { text: recipe, phantoms: ['--scans', '14', '--size', '48', '--seed', '3'] });
  const pack = (...args: string[]) => evaluator(['pack', '--run', 'run', '--volumes', 'volumes', ...args]);
  const { status, stderr } = pack('--out', 'a.ctens');
  if (status !== 0) throw new Error(stderr);
  const predictArgs = (...args: string[]) => ['predict', '--model', 'a.ctens', '--device', 'cpu:1', ...args];
  return {
    folder,
    evaluator,
    pack,
    predictArgs,
    predict: (...args: string[]) => evaluator(predictArgs(...args)),
    read: (file: string) => readFile(join(folder, file), 'utf8'),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
