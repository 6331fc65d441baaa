// The training of one member, from its first epoch or its last checkpoint to its best weights.
import { permutation, randomStream, UserError, writeFileAtomic } from '@ct-ensemble/core';
import { readBatches, type StoredScan, type VolumeStore } from '@ct-ensemble/data';
import type { Metadata, Model } from '@ct-ensemble/models';
import type { Adam } from '@ct-ensemble/engine';
import tf, { type Scalar } from '@tensorflow/tfjs';
import { join } from 'node:path';
import { drawAugmentation } from './augment.ts';
import {
  bestCheckpoint,
  type EpochRecord,
  freshState,
  lastCheckpoint,
  loadCheckpoint,
  type RunState,
  saveCheckpoint,
} from './checkpoint.ts';
import { learningRateAt, type TrainingOptions } from './options.ts';
import { predictScans, StoppedError } from './predict.ts';
import {
  memberOptimizer,
  type predictionStep,
  trainingStep,
  type TrainingInputs,
  volumesTensor,
} from './step.ts';

export interface TrainOptions {
  model: Model;
  /** Where checkpoints and history go. */
  folder: string;
  seed: number;
  classes: number;
  training: TrainingOptions;
  /** What the best weights' file says of the model. */
  about?: Metadata;
  /** The model's prediction step; the caller disposes it. */
  predict: ReturnType<typeof predictionStep>;
  /** Scans with a volume and a label. */
  train: readonly StoredScan[];
  val: readonly StoredScan[];
  store: Pick<VolumeStore, 'read'>;
  /** Planes of each view, where the second shows slices of the first; see DrawKey. */
  views?: readonly number[];
  /** The score that chooses the best epoch, from true and predicted labels. */
  score: (truth: readonly number[], predicted: readonly number[]) => number;
  onProgress?: (progress: Progress) => void;
  /** Asked between steps; true ends the run with a StoppedError. */
  stop?: () => boolean;
}

/** Where a member is. Epochs and steps count from 1 here: they are for a person. */
export interface Progress {
  kind: 'resumed' | 'step' | 'epoch';
  epoch: number;
  epochs: number;
  step: number;
  stepsPerEpoch: number;
  /** Of the last step, or the mean of the epoch. */
  loss: number | null;
  /** Of the last finished epoch. */
  macroF1: number | null;
  best: number | null;
  /** Of the last step, or of the whole epoch with validation and checkpoint. */
  seconds: number;
}

/**
 * Trains until the last epoch; resumes from the folder's last checkpoint. Afterwards the model holds the weights of
 * the best epoch: the highest score on the validation scans, the earlier of equals; without validation scans, the last.
 *
 * @throws StoppedError when asked to stop; UserError when a checkpoint does not fit or the loss is not finite.
 */
export async function trainMember(options: TrainOptions): Promise<RunState> {
  const { model, folder, training, train, onProgress } = options;
  const optimizer = memberOptimizer(model, training.optimizer);
  const { interpolation } = training.augmentation;
  const step = trainingStep({ model, optimizer, gamma: training.loss.gamma, interpolation });
  const stepsPerEpoch = Math.ceil(train.length / training.batchSize);
  try {
    const last = lastCheckpoint(folder);
    const resumed = await loadCheckpoint(last, { parameters: model.parameters, optimizer });
    let state = resumed ?? freshState();
    const report = (kind: Progress['kind'], now: Pick<Progress, 'epoch' | 'step' | 'loss' | 'seconds'>) => {
      const macroF1 = state.history.at(-1)?.macroF1 ?? null;
      const rest = { epochs: training.epochs, stepsPerEpoch, macroF1, best: state.best?.macroF1 ?? null };
      onProgress?.({ kind, ...now, ...rest });
    };
    if (resumed)
      report('resumed', {
        epoch: state.epochs,
        step: 0,
        loss: state.history.at(-1)?.loss ?? null,
        seconds: 0,
      });
    for (let epoch = state.epochs; epoch < training.epochs; epoch++) {
      const started = performance.now();
      const { loss, waited } = await trainEpoch({
        ...options,
        step,
        optimizer,
        epoch,
        steps: state.steps,
        report,
      });
      const macroF1 = await scoreOf(options);
      const best = isBetter(macroF1, state.best?.macroF1) ? { epoch, macroF1 } : state.best;
      const record: EpochRecord = {
        epoch,
        learningRate: learningRateAt(training.learningRate, epoch),
        loss,
        macroF1,
        seconds: (performance.now() - started) / 1000,
        waited,
      };
      state = {
        epochs: epoch + 1,
        steps: state.steps + stepsPerEpoch,
        best,
        history: [...state.history, record],
      };
      if (best?.epoch === epoch)
        await saveCheckpoint(bestCheckpoint(folder), {
          parameters: model.parameters,
          state,
          about: options.about ?? {},
        });
      await saveCheckpoint(last, { parameters: model.parameters, optimizer, state });
      await writeHistory(folder, state.history);
      report('epoch', {
        epoch: epoch + 1,
        step: stepsPerEpoch,
        loss,
        seconds: (performance.now() - started) / 1000,
      });
    }
    await loadCheckpoint(bestCheckpoint(folder), { parameters: model.parameters });
    return state;
  } finally {
    step.dispose();
    optimizer.dispose();
  }
}

interface EpochOptions extends TrainOptions {
  step: ReturnType<typeof trainingStep>;
  optimizer: Adam;
  epoch: number;
  /** Optimizer steps done before this epoch. */
  steps: number;
  report: (kind: 'step', now: Pick<Progress, 'epoch' | 'step' | 'loss' | 'seconds'>) => void;
}

/** One epoch: the mean of the scans' losses, and the seconds in which a step waited for its volumes. */
async function trainEpoch(options: EpochOptions): Promise<{ loss: number; waited: number }> {
  const { training, train, store, seed, epoch, stop } = options;
  const order = permutation(train.length, { seed, purpose: 'shuffle', epoch });
  const learningRate = learningRateAt(training.learningRate, epoch);
  let sum = 0;
  let done = 0;
  let waited = 0;
  let asked = performance.now();
  for await (const batch of readBatches({ scans: train, order, batchSize: training.batchSize, store })) {
    if (stop?.()) throw new StoppedError('stopped as asked');
    const started = performance.now();
    waited += (started - asked) / 1000;
    done++;
    const [, depth, height, width] = batch.shape;
    const scans = batch.samples.map((sample) => train[sample]!.key);
    const inputs: TrainingInputs = {
      ...drawAugmentation(training.augmentation, {
        seed,
        epoch,
        scans,
        depth,
        height,
        width,
        views: options.views,
      }),
      volumes: volumesTensor(batch.data, batch.shape),
      truth: tf.tidy(() =>
        tf
          .cast(tf.oneHot(tf.tensor1d(batch.labels, 'int32'), options.classes), 'float32')
          .as2D(-1, options.classes),
      ),
      rates: options.optimizer.rates(learningRate, options.steps + done),
      dropout: dropoutSeed({ seed, epoch, step: done }),
    };
    const loss = await valueOf((await options.step(inputs)).loss);
    tf.dispose(inputs);
    if (!Number.isFinite(loss)) {
      throw new UserError(`the loss is ${loss} in epoch ${epoch + 1}, step ${done}`, {
        remedy: 'lower training.learningRate in the recipe, or look at the scans of this batch',
      });
    }
    sum += loss * batch.samples.length;
    options.report('step', {
      epoch: epoch + 1,
      step: done,
      loss,
      seconds: (performance.now() - started) / 1000,
    });
    asked = performance.now();
  }
  return { loss: sum / train.length, waited };
}

/** [2] int32, from which the step's dropout draws. */
function dropoutSeed({ seed, epoch, step }: { seed: number; epoch: number; step: number }) {
  const random = randomStream({ seed, purpose: 'dropout', epoch, sample: step });
  return tf.tensor1d([random.bits() >>> 1, random.bits() >>> 1], 'int32');
}

async function scoreOf(options: TrainOptions): Promise<number | null> {
  const { predict, val, store, training, stop } = options;
  if (val.length === 0) return null;
  const rows = await predictScans({
    step: predict,
    scans: val,
    store,
    batchSize: training.batchSize,
    ...(stop ? { stop } : {}),
  });
  const predicted = rows.map((row) => row.indexOf(Math.max(...row)));
  return options.score(
    val.map(({ label }) => label!),
    predicted,
  );
}

/** Strictly better; without a score every epoch is better than the one before. */
function isBetter(macroF1: number | null, best: number | null | undefined): boolean {
  return macroF1 === null || best === undefined || best === null || macroF1 > best;
}

async function writeHistory(folder: string, history: readonly EpochRecord[]) {
  await writeFileAtomic(
    join(folder, 'history.jsonl'),
    history.map((record) => `${JSON.stringify(record)}\n`).join(''),
  );
}

async function valueOf(tensor: Scalar): Promise<number> {
  const [value] = await tensor.data();
  tensor.dispose();
  return value!;
}
