// A training that is stopped inside its epochs at given steps, and the comparison of its files with those of an undisturbed one.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkpointFolder, lastCheckpoint, stateFile } from '../checkpoint.ts';
import { StoppedError } from '../predict.ts';
import type { TrainingOptions } from '../schema.ts';
import type { TrainOptions } from '../train.ts';
import { scans, train, training } from './member.fixture.ts';

// For tests that load this file, and with it these libraries, after they have replaced a module of Node.
export { openEngine } from '@ct-ensemble/engine';
export { readSafetensors } from '@ct-ensemble/models';

/** Three epochs of five steps, the last and smaller one of one micro-batch, the others of two; everything that a checkpoint has to keep. */
export const settings: TrainingOptions = {
  ...training,
  epochs: 3,
  batchSize: 4,
  accumulate: 2,
  gradientClip: 1,
  averageWeights: { decay: 0.9 },
  learningRate: { schedule: 'cosine', rate: 0.02, warmUp: 1, final: 0 },
  optimizer: { ...training.optimizer, name: 'adamw', weightDecay: 0.01 } as never,
  augmentation: { ...training.augmentation, mixup: { alpha: 0.4 } },
};
export const STEPS = 5;
/** The second epoch is the best one. */
const scores = [0.5, 0.75, 0.25];
export const scored = (from = 0) => {
  let epoch = from;
  return () => scores[epoch++]!;
};

export const fixed = { training: settings, train: scans('train', 18), checkpointSeconds: 0 };
const folder = await mkdtemp(join(tmpdir(), 'ct-ensemble-inside-'));
let folders = 0;
export const removeFolders = () => rm(folder, { recursive: true });
/** A name for a folder that does not exist yet. */
export const newFolder = () => join(folder, String(folders++));

interface Begun {
  /** Steps of the whole training after which a checkpoint is due. */
  checkpoints: readonly number[];
  /** Step after which the training is asked to stop. */
  stopAfter?: number;
}

/** A training whose clock makes checkpoints due at these steps. */
export async function begin(
  at: string,
  { checkpoints, stopAfter = Infinity, ...options }: Begun & Partial<TrainOptions>,
) {
  let steps = 0;
  const warnings: string[] = [];
  const result = train({
    ...fixed,
    folder: at,
    score: scored(),
    checkpointSeconds: 1,
    clock: () => checkpoints.filter((step) => step <= steps).length,
    // The last step of an epoch counts when the epoch's checkpoints are written.
    onProgress: ({ kind, step, stepsPerEpoch }) =>
      void (steps += Number(kind === 'epoch' || (kind === 'step' && step < stepsPerEpoch))),
    stop: () => steps >= stopAfter,
    onWarning: (warning) => warnings.push(warning),
    ...options,
  });
  if (stopAfter === Infinity) await result;
  else await expect(result).rejects.toThrow(StoppedError);
  return warnings;
}

/** Starts the training again, without checkpoints inside epochs. */
export async function resume(at: string, options: Partial<TrainOptions> = {}) {
  const warnings: string[] = [];
  const { epochs } = await stateOf(at);
  const onWarning = (warning: string) => void warnings.push(warning);
  const result = await train({ ...fixed, folder: at, score: scored(epochs), onWarning, ...options });
  return { ...result, warnings };
}

export const stateOf = async (at: string) =>
  JSON.parse(await readFile(stateFile(lastCheckpoint(at)), 'utf8')) as {
    epochs: number;
    insideEpoch?: { steps: number };
  };

/** All files of a member, without the durations. */
export async function contentOf(at: string) {
  const names = (await readdir(checkpointFolder(at))).sort();
  const files = await Promise.all(names.map((name) => readFile(join(checkpointFolder(at), name), 'latin1')));
  const lines = (await readFile(join(at, 'history.jsonl'), 'utf8')).trim().split('\n');
  const history = lines.map((line) => ({ ...(JSON.parse(line) as object), seconds: 0, waited: 0 }));
  return { files: new Map(names.map((name, i) => [name, files[i]])), history };
}
/** Expects the files of a training that was never stopped and nothing else, except for the durations. */
export async function expectFilesOf(undisturbed: string, at: string) {
  const [found, expected] = [await contentOf(at), await contentOf(undisturbed)];
  expect([...found.files.keys()]).toEqual(['best.json', 'best.safetensors', 'last.json', 'last.safetensors']);
  for (const [name, bytes] of expected.files)
    expect([name, found.files.get(name) === bytes]).toEqual([name, true]);
  expect(found.history).toEqual(expected.history);
}
export async function flipLastBit(file: string) {
  const bytes = await readFile(file);
  bytes[bytes.length - 1]! ^= 1;
  await writeFile(file, bytes);
}
