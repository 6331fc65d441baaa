// The training loop that members and slice networks share: epochs, steps, validation, best epoch, checkpoints, resuming.
import { permutation, UserError, writeFileAtomic } from '@ct-ensemble/core';
import type { Optimizer } from '@ct-ensemble/engine';
import type { Metadata, Parameters } from '@ct-ensemble/models';
import type { Tensor1D } from '@tensorflow/tfjs';
import { rename } from 'node:fs/promises';
import type { z } from 'zod';
import { withAverages } from './averages.ts';
import {
  bestCheckpoint,
  lastCheckpoint,
  nextBestCheckpoint,
  restoreCheckpoint,
  stateFile,
  tensorsOf,
  writeCheckpoint,
} from './checkpoint.ts';
import { type Durations, historyFile, historyText } from './history.ts';
import { StoppedError } from './predict.ts';
import { type BoundBest, type LoopState, requireBestOf, resume, stateText } from './resume.ts';
import { learningRateAt, type Schedule } from './schedules/index.ts';

/** What the loop measures in an epoch; epochs count from 0. */
export interface TrainedEpoch {
  epoch: number;
  /** Learning rate of the epoch's last step. */
  learningRate: number;
  /** Mean loss over the samples. */
  loss: number;
}

/** Position of a micro-batch in the run; without accumulation each step is one micro-batch. */
export interface StepTime {
  epoch: number;
  /** Number of the micro-batch in its epoch, from 1. */
  part: number;
  /** Input of the optimizer's update; undefined if more micro-batches of the same step follow. */
  rates: Tensor1D | undefined;
  /** Indices of all samples of the step, over its micro-batches. */
  stepSamples: readonly number[];
}

export interface LoopOptions<Batch, Judged extends { score: number | null }, Epoch, Best> {
  /** Where the checkpoints go. */
  folder: string;
  /** Metadata of the checkpoints that tells this training from others; a checkpoint that differs in it is refused. */
  identity: Metadata;
  /** Further metadata of the checkpoints. */
  about?: Metadata;
  parameters: Parameters;
  optimizer: Optimizer;
  seed: number;
  /** Number of training samples. */
  samples: number;
  batchSize: number;
  /** Number of micro-batches in a step; must divide batchSize. Default 1. */
  accumulate?: number | undefined;
  epochs: number;
  schedule: Schedule;
  /** Schema of the state in a checkpoint. */
  state: z.ZodType<LoopState<Epoch, Best>>;
  /** Called before the first epoch, but not when the run resumes from a checkpoint. */
  begin?: () => Promise<void>;
  /** Batches of `size` samples in the given order; the last batch may be smaller. */
  batches(order: readonly number[], size: number): AsyncIterable<Batch> | Iterable<Batch>;
  /** Computes one micro-batch. Returns its contribution to the step's mean loss; the contributions of a step are summed. */
  step(batch: Batch, time: StepTime): Promise<number>;
  /** Validates the current weights: the averaged ones if the optimizer keeps averages. */
  judge(epoch: number): Promise<Judged>;
  /** Makes the entry of the history for an epoch. */
  record(epoch: TrainedEpoch, judged: Judged): Epoch;
  best: {
    of(epoch: number, score: number | null): Best;
    score(best: Best): number | null;
  };
  onResume?: (state: LoopState<Epoch, Best>, durations: Durations) => void;
  /** Called with what a person should know of and what does not stop the training. */
  onWarning: (message: string) => void;
  onStep?: (step: { epoch: number; step: number; loss: number; seconds: number }) => void;
  /** Called after the checkpoints of an epoch were written; `seconds` include the writing. */
  onEpoch?: (state: LoopState<Epoch, Best>, seconds: number) => Promise<void> | void;
  /** The error for a loss or a score that is not finite ends with this advice. */
  remedy: string;
  /** Called before each micro-batch; returning true ends the run with a StoppedError. */
  stop?: (() => boolean) | undefined;
}

/**
 * Trains from the first epoch, or from the folder's last checkpoint, to the last epoch. Afterwards the parameters have the
 * values of the best epoch: the one with the highest score, and of equal scores the earliest; without scores the last epoch.
 *
 * @throws {StoppedError} when asked to stop
 * @throws {UserError} if a checkpoint does not fit, is missing, damaged or of another training, or the loss or the score is
 * not finite
 */
export async function runLoop<
  Batch extends { samples: readonly number[] },
  Judged extends { score: number | null },
  Epoch extends { epoch: number; loss: number },
  Best extends BoundBest,
>(loop: LoopOptions<Batch, Judged, Epoch, Best>): Promise<LoopState<Epoch, Best>> {
  const { folder, parameters, optimizer, identity } = loop;
  const kind = { folder, schema: loop.state, identity };
  const metadata = { ...loop.about, ...identity };
  const [last, nextBest, best] = [lastCheckpoint(folder), nextBestCheckpoint(folder), bestCheckpoint(folder)];
  const resumed = await resume({ ...kind, epochs: loop.epochs, onWarning: loop.onWarning });
  let state: LoopState<Epoch, Best> = resumed?.state ?? { epochs: 0, steps: 0, best: null, history: [] };
  const durations = resumed?.durations ?? [];
  if (resumed === undefined) await loop.begin?.();
  else {
    restoreCheckpoint(resumed.last, { parameters, optimizer });
    loop.onResume?.(state, durations.at(-1)!);
  }
  for (let epoch = state.epochs; epoch < loop.epochs; epoch++) {
    const started = performance.now();
    const { waited, ...trained } = await trainEpoch(loop, { epoch, steps: state.steps });
    const isBest = await withAverages(optimizer, async () => {
      const judged = await loop.judge(epoch);
      const { score } = judged;
      if (score !== null && !Number.isFinite(score))
        throw new UserError(`the score is ${score} in epoch ${epoch + 1}`, { remedy: loop.remedy });
      const before = state.best === null ? null : loop.best.score(state.best);
      const isBest = score === null || before === null || score > before;
      durations.push({ seconds: (performance.now() - started) / 1000, waited });
      const weights = isBest ? await tensorsOf({ parameters }) : undefined;
      state = {
        epochs: epoch + 1,
        steps: state.steps + stepsPerEpoch(loop),
        best: weights ? { ...loop.best.of(epoch, score), sha256: weights.sha256 } : state.best,
        history: [...state.history, loop.record(trained, judged)],
      };
      if (weights) await writeCheckpoint(nextBest, weights, { state, metadata });
      return isBest;
    });
    // The last checkpoint names the best one by its digest. Until it is written, the best one before stays in its place.
    await writeCheckpoint(last, await tensorsOf({ parameters, optimizer }), { state, metadata });
    if (isBest) {
      await rename(nextBest, best);
      await writeFileAtomic(stateFile(best), stateText(state));
    }
    await writeFileAtomic(stateFile(last), stateText(state));
    await writeFileAtomic(historyFile(folder), historyText(state.history, durations));
    await loop.onEpoch?.(state, (performance.now() - started) / 1000);
  }
  restoreCheckpoint(await requireBestOf(kind, state), { parameters });
  return state;
}

/** Number of optimizer steps in an epoch. */
export const stepsPerEpoch = ({ samples, batchSize }: { samples: number; batchSize: number }) =>
  Math.ceil(samples / batchSize);

async function trainEpoch<
  Batch extends { samples: readonly number[] },
  Judged extends { score: number | null },
  Epoch,
  Best,
>(
  loop: LoopOptions<Batch, Judged, Epoch, Best>,
  { epoch, steps }: { epoch: number; steps: number },
): Promise<TrainedEpoch & { waited: number }> {
  const { samples, batchSize, accumulate = 1, optimizer } = loop;
  const order = permutation(samples, { seed: loop.seed, purpose: 'shuffle', epoch });
  const rateOf = (step: number) =>
    learningRateAt(loop.schedule, { epoch, step, stepsPerEpoch: stepsPerEpoch(loop), epochs: loop.epochs });
  let [sum, waited, taken, part, done, stepLoss, stepSeconds] = [0, 0, 0, 0, 0, 0, 0];
  let learningRate = rateOf(steps);
  let asked = performance.now();
  for await (const batch of loop.batches(order, batchSize / accumulate)) {
    if (loop.stop?.()) throw new StoppedError('training was stopped on request');
    const started = performance.now();
    waited += (started - asked) / 1000;
    part++;
    const first = Math.floor(taken / batchSize) * batchSize;
    const stepSamples = order.slice(first, first + batchSize);
    taken += batch.samples.length;
    const isWhole = taken === first + stepSamples.length;
    learningRate = rateOf(steps + done);
    const rates = isWhole ? optimizer.rates(learningRate, steps + done + 1) : undefined;
    const loss = await loop.step(batch, { epoch, part, rates, stepSamples });
    rates?.dispose();
    if (!Number.isFinite(loss))
      throw new UserError(`the loss is ${loss} in epoch ${epoch + 1}, step ${done + 1}`, {
        remedy: loop.remedy,
      });
    stepLoss += loss;
    asked = performance.now();
    stepSeconds += (asked - started) / 1000;
    if (!isWhole) continue;
    done++;
    sum += stepLoss * stepSamples.length;
    loop.onStep?.({ epoch, step: done, loss: stepLoss, seconds: stepSeconds });
    [stepLoss, stepSeconds] = [0, 0];
  }
  return { epoch, learningRate, loss: sum / samples, waited };
}
