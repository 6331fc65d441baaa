// Trains the slice filter or the lung segmenter, from the first epoch or the last checkpoint, and writes the best weights.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readJson, UserError, writeJson } from '@ct-ensemble/core';
import type { SliceSample } from '@ct-ensemble/data';
import { tensorOfBytes } from '@ct-ensemble/engine';
import { loadPretrained, saveWeights } from '@ct-ensemble/models';
import tf from '@tensorflow/tfjs';
import { z } from 'zod';
import { drawAugmentation } from './augmentations/augment.ts';
import type { Augmentation } from './augmentations/index.ts';
import { bestDigest, lastCheckpoint } from './checkpoint.ts';
import { runLoop } from './loop.ts';
import type { Schedule } from './schedules/index.ts';
import {
  buildSliceModel,
  decide,
  describeSliceNetwork,
  requireSliceNetwork,
  slicePredictionStep,
  type SliceScores,
  type SliceTask,
  sliceTrainingStep,
} from './slice-network.ts';
import { memberOptimizer } from './step.ts';

export interface SliceTrainingOptions {
  task: SliceTask;
  architecture: string;
  /** Height and width of the slices, in pixels. */
  edge: number;
  epochs: number;
  batchSize: number;
  /** Learning rate of Adam; it is divided by 10 for the last third of the epochs. */
  learningRate: number;
  seed: number;
  /** A file of published weights to start from. */
  pretrained?: string;
  train: readonly SliceSample[];
  val: readonly SliceSample[];
  /** File for the best weights. Checkpoints are beside it, in a folder of the same name with the ending `.training`. */
  out: string;
  /** Called after each epoch, and once when a run resumes, with its last finished epoch. */
  onEpoch?: (record: SliceEpoch, run: SliceProgress) => void;
  /** Called with what a person should know of and what does not stop the training; default: standard error. */
  onWarning?: (message: string) => void;
  /** Called before each step; returning true ends the run with a StoppedError. */
  stop?: () => boolean;
}

export interface SliceProgress {
  epochs: number;
  resumed: boolean;
  /** Seconds of the epoch; null for an epoch before a resumption whose duration was lost. */
  seconds: number | null;
}

/** Augmentation of the slices of both networks. */
const AUGMENTATION: Augmentation = {
  rotate: 10,
  flipHorizontal: 0.5,
  flipVertical: [0.1],
  blur: 0,
  gain: [{ factor: 1.2, probability: 0.2 }, { factor: 0.8, probability: 0.2 }], // prettier-ignore
};

const ADAM = { name: 'adam', beta1: 0.9, beta2: 0.999, epsilon: 1e-8 } as const;

const epochRecord = z.object({
  epoch: z.int(),
  learningRate: z.number(),
  /** Mean loss over the training slices. */
  loss: z.number(),
  /** Scores on the slices held out. */
  scores: z.record(z.string(), z.number()),
});
const trainingState = z.object({
  /** Number of finished epochs. */
  epochs: z.int(),
  /** Number of finished optimizer steps. */
  steps: z.int(),
  best: z.object({ epoch: z.int(), score: z.number(), sha256: bestDigest }).nullable(),
  history: z.array(epochRecord),
});

/** One epoch; epochs count from 0. */
export type SliceEpoch = z.infer<typeof epochRecord>;

/** The folder of the checkpoints that belong to a weights file. */
export const trainingFolder = (out: string) => `${out.replace(/\.safetensors$/, '')}.training`;

/**
 * Trains with Adam on the binary cross entropy, from the first epoch or the last checkpoint, and writes the weights of the
 * best epoch: the one with the highest score on the slices held out, and of equal scores the earliest.
 *
 * @returns the best epoch and the history
 * @throws {StoppedError} when asked to stop
 * @throws {UserError} if the checkpoints are of another training, missing or damaged, a class has no training slices, or the loss
 * or an output is not finite
 */
export async function trainSliceNetwork(
  options: SliceTrainingOptions,
): Promise<{ best: SliceEpoch; history: SliceEpoch[] }> {
  const { task, edge, epochs, train, val, out, pretrained, onEpoch } = options;
  const folder = trainingFolder(out);
  requireSliceNetwork(task, options.architecture, edge);
  for (const [value, what] of ['anything but lung', 'lung'].entries()) {
    if (train.some(({ truth }) => truth.includes(value))) continue;
    throw new UserError(`none of the ${train.length} slices to train on shows ${what}`, {
      remedy: 'add slices that do, or hold others out with --val',
    });
  }
  const settings = settingsOf(options);
  await adoptSettings(join(folder, 'settings.json'), { settings, out });
  const model = buildSliceModel(task, options.architecture, options);
  const optimizer = memberOptimizer(model, { optimizer: ADAM });
  const step = sliceTrainingStep({ task, model, optimizer });
  const predict = slicePredictionStep(task, model);
  try {
    const state = await runLoop({
      folder,
      identity: identityOf(settings),
      parameters: model.parameters,
      optimizer,
      seed: options.seed,
      samples: train.length,
      batchSize: options.batchSize,
      epochs,
      schedule: scheduleOf(options),
      state: trainingState,
      begin: async () => void (pretrained === undefined || (await loadPretrained(model, pretrained))),
      batches: batchesOf,
      async step({ samples }, { epoch, rates }) {
        const chosen = samples.map((sample) => train[sample]!);
        const inputs = inputsOf(options, chosen, epoch);
        const { loss } = await step({ ...inputs, rates: rates! });
        const [value] = await loss.data();
        tf.dispose([inputs, loss]);
        return value!;
      },
      async judge(epoch) {
        const scores = await scoresOf({ ...options, predict }, epoch);
        return { score: scores.score, scores };
      },
      record: (epoch, { scores }): SliceEpoch => ({ ...epoch, scores }),
      best: { of: (epoch, score) => ({ epoch, score: score! }), score: ({ score }) => score },
      onResume({ history }, { durations: { seconds } }) {
        const last = history.at(-1); // absent inside the first epoch
        if (last !== undefined) onEpoch?.(last, { epochs, resumed: true, seconds });
      },
      onEpoch: ({ history }, seconds) => onEpoch?.(history.at(-1)!, { epochs, resumed: false, seconds }),
      onWarning: options.onWarning ?? ((message) => console.error(message)),
      remedy: 'give a lower --learning-rate and another --out',
      stop: options.stop,
    });
    const best = state.history[state.best!.epoch]!;
    const counts = { slices: val.length, trainedOn: train.length, epoch: best.epoch + 1 };
    const about = describeSliceNetwork(task, model, { edge, scores: { ...best.scores, ...counts } });
    await saveWeights(model.parameters, out, about);
    return { best, history: state.history };
  } finally {
    step.dispose();
    predict.dispose();
    optimizer.dispose();
    model.dispose();
  }
}

type Settings = Record<string, string | number>;

function settingsOf(options: SliceTrainingOptions): Settings {
  const { task, architecture, edge, epochs, batchSize, learningRate, seed, pretrained } = options;
  return {
    kind: task.kind,
    architecture,
    size: edge,
    epochs,
    batch: batchSize,
    'learning rate': learningRate,
    seed,
    'starts from': pretrained === undefined ? 'scratch' : 'published weights',
    'training slices': digestOf(options.train),
    'slices held out': digestOf(options.val),
  };
}

/** What tells the checkpoints of this training from those of others, as metadata. */
const identityOf = (settings: Settings) =>
  Object.fromEntries(Object.entries(settings).map(([name, value]) => [`setting ${name}`, String(value)]));

/**
 * Writes the settings of a new training, or compares them with those of the checkpoints.
 *
 * @throws {UserError} if the checkpoints were made with other data or other settings
 */
async function adoptSettings(file: string, { settings, out }: { settings: Settings; out: string }) {
  const begun = existsSync(lastCheckpoint(trainingFolder(out)));
  const found = (begun ? await readJson(file) : undefined) as Settings | undefined;
  if (found === undefined) return writeJson(file, settings);
  const other = Object.keys(settings).filter((name) => found[name] !== settings[name]);
  if (other.length > 0) {
    const each = other.map((name) => `${name} ${found[name]}, now ${settings[name]}`);
    throw new UserError(`was written with other settings: ${each.join('; ')}`, {
      file,
      remedy: 'give the same settings, another --out, or delete this folder',
    });
  }
}

function digestOf(samples: readonly SliceSample[]): string {
  const hash = createHash('sha256');
  for (const { name, image, truth } of samples) hash.update(`${name}\n`).update(image).update(truth);
  return `${samples.length} (${hash.digest('hex').slice(0, 16)})`;
}

function scheduleOf({ learningRate, epochs }: SliceTrainingOptions): Schedule {
  const drop = { from: Math.ceil((2 / 3) * epochs), rate: learningRate / 10 };
  return [{ from: 0, rate: learningRate }, drop];
}

function* batchesOf(order: readonly number[], size: number): Generator<{ samples: number[] }> {
  for (let first = 0; first < order.length; first += size)
    yield { samples: order.slice(first, first + size) };
}

function inputsOf({ edge, seed }: SliceTrainingOptions, samples: readonly SliceSample[], epoch: number) {
  const draws = drawAugmentation(AUGMENTATION, {
    seed,
    epoch,
    scans: samples.map(({ name }) => name),
    depth: 1,
    height: edge,
    width: edge,
  });
  const truths = samples.map(({ truth }) => truth);
  const size = truths[0]!.length === 1 ? [1] : [edge, edge];
  return {
    ...draws,
    images: tensorOfBytes(joined(samples.map(({ image }) => image)), [samples.length, edge, edge]),
    truth: tensorOfBytes(joined(truths), [samples.length, ...size]),
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

async function scoresOf(
  options: SliceTrainingOptions & { predict: ReturnType<typeof slicePredictionStep> },
  epoch: number,
): Promise<SliceScores> {
  const { task, val, predict } = options;
  const decided = await decide(
    predict,
    val.map(({ image }) => image),
    { ...options, nameOf: (i) => `${val[i]!.name} in epoch ${epoch + 1}` },
  );
  return task.scoresOf(
    val.map(({ truth }) => truth),
    decided,
  );
}
