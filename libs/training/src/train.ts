// Trains one member, from the first epoch or the last checkpoint, and keeps the best weights.
import { messageOf, randomStream, UserError } from '@ct-ensemble/core';
import { type Batch, readBatches, type StoredScan, type VolumeStore } from '@ct-ensemble/data';
import type { CaptureOptions } from '@ct-ensemble/engine';
import type { Metadata, Model } from '@ct-ensemble/models';
import tf, { type Scalar, type Tensor2D } from '@tensorflow/tfjs';
import { createHash } from 'node:crypto';
import { drawAugmentation } from './augmentations/augment.ts';
import { drawMix, mixedTruth, mixTensors } from './augmentations/mixup.ts';
import { type RunState, runState } from './checkpoint.ts';
import { runLoop, type StepTime, stepsPerEpoch } from './loop.ts';
import { classWeightsOf, weightOf } from './losses/loss.ts';
import { predictScans } from './predict.ts';
import type { TrainingOptions } from './schema.ts';
import {
  type AccumulationInputs,
  accumulationStep,
  memberOptimizer,
  type predictionStep,
  trainingStep,
  volumesTensor,
} from './step.ts';

export interface TrainOptions {
  model: Model;
  /** The member's name, which its checkpoints carry. */
  member: string;
  /** The member's folder, for checkpoints and history. */
  folder: string;
  seed: number;
  classes: number;
  training: TrainingOptions;
  /** Metadata for the checkpoints, which describes the network. */
  about?: Metadata;
  /** The model's prediction step; the caller disposes it. */
  predict: ReturnType<typeof predictionStep>;
  /** Training scans; each has a volume and a label. So do the validation scans, `val`. */
  train: readonly StoredScan[];
  val: readonly StoredScan[];
  store: Pick<VolumeStore, 'read'>;
  /** Options of capturing the steps; a precision here overrides the recipe's. */
  capture?: CaptureOptions;
  /** Number of planes in each view, if the second view shows slices of the first; see DrawKey. */
  views?: readonly number[];
  /** Computes the score that decides which epoch is the best, from true and predicted labels. */
  score: (truth: readonly number[], predicted: readonly number[]) => number;
  onProgress?: (progress: Progress) => void;
  /** Called with what a person should know of and what does not stop the member; default: standard error. */
  onWarning?: (message: string) => void;
  /**
   * A checkpoint is written at the first step after so many seconds without one, beside those at the ends of epochs;
   * 0: only at the ends of epochs. Default 300.
   */
  checkpointSeconds?: number | undefined;
  /** The clock that `checkpointSeconds` is measured by, in seconds; default: the process's monotonic clock. */
  clock?: () => number;
  /** Called before each step; returning true ends the run with a StoppedError. */
  stop?: () => boolean;
}

/**
 * Progress of a member, for display: epochs and steps count from 1 here. An event `resumed` has the last finished epoch, 0 if
 * there is none, and the finished steps of the next epoch, 0 if it begins with its first.
 */
export interface Progress {
  kind: 'resumed' | 'step' | 'epoch';
  epoch: number;
  epochs: number;
  step: number;
  stepsPerEpoch: number;
  /** Loss of the last step, or the mean loss of the epoch. */
  loss: number | null;
  /** Macro F1 of the last finished epoch. */
  macroF1: number | null;
  best: number | null;
  /** Duration of the last step, or of the whole epoch with validation and checkpoint. */
  seconds: number;
}

/**
 * Trains from the first epoch, or from the folder's last checkpoint, which may lie inside an epoch, to the last epoch. The
 * files at the end do not depend on when checkpoints were written. `training.accumulate` may differ from an earlier start of the
 * same member: training goes on with steps of the same scans, and a warning says from where on. Afterwards the model has the weights
 * of the best epoch (the averaged weights, if the recipe averages): the epoch with the highest score on the validation scans,
 * and of equal scores the earliest; without validation scans the last epoch.
 *
 * @throws {StoppedError} when asked to stop
 * @throws {UserError} if a checkpoint does not fit, is missing, damaged or of another member, a loss or a prediction is not finite,
 * or class weights cannot be computed because a class has no scans
 */
export async function trainMember(options: TrainOptions): Promise<RunState> {
  const { model, folder, training, train, onProgress } = options;
  const { augmentation, precision } = training;
  const classWeights = weightsOf(options);
  const optimizer = memberOptimizer(model, training);
  const made = {
    model,
    optimizer,
    loss: training.loss,
    classWeights,
    augmentation,
    capture: { ...(precision && { precision }), ...options.capture },
  };
  const [update, gather] = [trainingStep(made), accumulationStep(made)];
  const size = { samples: train.length, batchSize: training.batchSize };
  const report = (
    kind: Progress['kind'],
    { history, best }: Pick<RunState, 'history' | 'best'>,
    now: Pick<Progress, 'epoch' | 'step' | 'loss' | 'seconds'>,
  ) =>
    onProgress?.({
      kind,
      ...now,
      epochs: training.epochs,
      stepsPerEpoch: stepsPerEpoch(size),
      macroF1: history.at(-1)?.macroF1 ?? null,
      best: best?.macroF1 ?? null,
    });
  let state: Pick<RunState, 'history' | 'best'> = { history: [], best: null };
  try {
    return await runLoop({
      ...size,
      folder,
      identity: identityOf(options),
      ...(options.about && { about: options.about }),
      parameters: model.parameters,
      optimizer,
      seed: options.seed,
      accumulate: training.accumulate,
      epochs: training.epochs,
      schedule: training.learningRate,
      state: runState,
      batches: (order, batchSize) => readBatches({ scans: train, order, batchSize, store: options.store }),
      async step(batch, time) {
        const inputs = inputsOf(options, { batch, time, classWeights });
        const { rates } = time;
        const { loss } = await (rates ? update({ ...inputs, rates }) : gather(inputs));
        tf.dispose(inputs);
        return (await valueOf(loss)) / (training.accumulate ?? 1);
      },
      judge: async (epoch) => ({ score: await scoreOf(options, epoch) }),
      record: (epoch, { score }) => ({ ...epoch, macroF1: score }),
      best: { of: (epoch, macroF1) => ({ epoch, macroF1 }), score: ({ macroF1 }) => macroF1 },
      onResume(resumed, { steps }) {
        state = resumed;
        const loss = resumed.history.at(-1)?.loss ?? null;
        report('resumed', state, { epoch: resumed.epochs, step: steps, loss, seconds: 0 });
      },
      onStep: ({ epoch, ...now }) => report('step', state, { epoch: epoch + 1, ...now }),
      onWarning: options.onWarning ?? ((message) => console.error(message)),
      onEpoch(now, seconds) {
        state = now;
        const { epoch, loss } = now.history.at(-1)!;
        report('epoch', state, { epoch: epoch + 1, step: stepsPerEpoch(size), loss, seconds });
      },
      remedy: 'lower training.learningRate in the recipe, or look at the scans of this batch',
      checkpointSeconds: options.checkpointSeconds,
      clock: options.clock,
      stop: options.stop,
    });
  } finally {
    update.dispose();
    gather.dispose();
    optimizer.dispose();
  }
}

/** What tells the checkpoints of this member from those of others. */
function identityOf({ member, model, seed, about, train, val }: TrainOptions): Metadata {
  const classes = about?.['classes'];
  return {
    member,
    architecture: model.architecture,
    seed: String(seed),
    ...(classes !== undefined && { classes }),
    scans: digestOfScans([...train, ...val]),
  };
}

/** SHA-256 over the scans that the training and its scores depend on. */
function digestOfScans(scans: readonly StoredScan[]): string {
  const hash = createHash('sha256');
  for (const { key, split, label, volume } of scans)
    hash.update(`${JSON.stringify([key, split, label, volume])}\n`);
  return hash.digest('hex');
}

/** The class weights, computed from the labels of the training scans. */
function weightsOf({ training, train, classes }: TrainOptions): number[] | undefined {
  const counts = Array.from({ length: classes }, (_, i) => train.filter(({ label }) => label === i).length);
  try {
    return classWeightsOf(training.loss, counts);
  } catch (error) {
    throw new UserError(`training.loss.classWeights: ${messageOf(error)}`, {
      remedy: 'change classWeights in the recipe, or add training scans of the class',
      cause: error,
    });
  }
}

/** All inputs of a micro-batch except the rates. */
function inputsOf(
  options: TrainOptions,
  now: { batch: Batch; time: StepTime; classWeights: readonly number[] | undefined },
): AccumulationInputs {
  const { training, train, seed, classes, views } = options;
  const { batch, time, classWeights } = now;
  const { epoch, part } = time;
  const { mixup } = training.augmentation;
  const accumulate = training.accumulate ?? 1;
  const [size, depth, height, width] = batch.shape;
  const scans = batch.samples.map((sample) => train[sample]!.key);
  const oneHot = Array.from(batch.labels, (label) => Array.from({ length: classes }, (_, i) => Number(i === label))); // prettier-ignore
  const mix = mixup && drawMix(mixup, { seed, epoch, step: part, size });
  const weight = (samples: readonly number[]) =>
    weightOf(
      samples.map((sample) => train[sample]!.label!),
      classWeights,
    );
  return {
    ...drawAugmentation(training.augmentation, { seed, epoch, scans, depth, height, width, views }),
    volumes: volumesTensor(batch.data, batch.shape),
    truth: tf.tensor2d(mix ? mixedTruth(oneHot, mix) : oneHot, [size, classes]) as Tensor2D,
    dropout: dropoutSeed({ seed, epoch, step: part }),
    ...(mix && mixTensors(mix)),
    // The optimizer averages over micro-batches; this factor turns that into the mean over the scans of the step.
    ...(accumulate > 1 && {
      share: tf.scalar((accumulate * weight(batch.samples)) / weight(time.stepSamples)),
    }),
  };
}

/** The seed of the step's dropout: [2] int32. */
function dropoutSeed({ seed, epoch, step }: { seed: number; epoch: number; step: number }) {
  const random = randomStream({ seed, purpose: 'dropout', epoch, sample: step });
  return tf.tensor1d([random.bits() >>> 1, random.bits() >>> 1], 'int32');
}

async function scoreOf(options: TrainOptions, epoch: number): Promise<number | null> {
  const { predict, val, store, training, stop } = options;
  if (val.length === 0) return null;
  const rows = await predictScans({
    step: predict,
    scans: val,
    store,
    batchSize: training.batchSize,
    epoch,
    ...(stop ? { stop } : {}),
  });
  const predicted = rows.map((row) => row.indexOf(Math.max(...row)));
  return options.score(
    val.map(({ label }) => label!),
    predicted,
  );
}

async function valueOf(tensor: Scalar): Promise<number> {
  const [value] = await tensor.data();
  tensor.dispose();
  return value!;
}
