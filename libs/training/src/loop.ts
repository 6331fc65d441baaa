// The training loop that members and slice networks share: epochs, steps, validation, best epoch, checkpoints, resuming.
import { permutation, UserError } from '@ct-ensemble/core';
import type { Optimizer } from '@ct-ensemble/engine';
import type { Metadata, Parameters } from '@ct-ensemble/models';
import type { Tensor1D } from '@tensorflow/tfjs';
import type { z } from 'zod';
import { withAverages } from './averages.ts';
import { bestCheckpoint, lastCheckpoint, loadCheckpointOf, saveCheckpoint } from './checkpoint.ts';
import { StoppedError } from './predict.ts';
import { learningRateAt, type Schedule } from './schedules/index.ts';

/** State of a run, which a checkpoint holds beside the tensors. */
export interface LoopState<Epoch, Best> {
  /** Number of finished epochs. */
  epochs: number;
  /** Number of finished optimizer steps. */
  steps: number;
  best: Best | null;
  history: Epoch[];
}

/** What the loop measures in an epoch; epochs count from 0. */
export interface TrainedEpoch {
  epoch: number;
  /** Learning rate of the epoch's last step. */
  learningRate: number;
  /** Mean loss over the samples. */
  loss: number;
  /** Seconds of training and validation. */
  seconds: number;
  /** Part of `seconds`: how long steps waited for samples to be read. */
  waited: number;
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
  /** Metadata for the file of the best weights. */
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
  judge(): Promise<Judged>;
  /** Makes the entry of the history for an epoch. */
  record(epoch: TrainedEpoch, judged: Judged): Epoch;
  best: {
    of(epoch: number, score: number | null): Best;
    score(best: Best): number | null;
  };
  onResume?: (state: LoopState<Epoch, Best>) => void;
  onStep?: (step: { epoch: number; step: number; loss: number; seconds: number }) => void;
  /** Called after the checkpoints of an epoch were written; `seconds` include the writing. */
  onEpoch?: (state: LoopState<Epoch, Best>, seconds: number) => Promise<void> | void;
  /** The error for a loss that is not finite ends with this advice. */
  remedy: string;
  /** Called before each micro-batch; returning true ends the run with a StoppedError. */
  stop?: (() => boolean) | undefined;
}

/**
 * Trains from the first epoch, or from the folder's last checkpoint, to the last epoch. Afterwards the parameters have the
 * values of the best epoch: the one with the highest score, and of equal scores the earliest; without scores the last epoch.
 *
 * @throws {StoppedError} when asked to stop
 * @throws {UserError} if a checkpoint does not fit, or the loss is not finite
 */
export async function runLoop<
  Batch extends { samples: readonly number[] },
  Judged extends { score: number | null },
  Epoch,
  Best,
>(loop: LoopOptions<Batch, Judged, Epoch, Best>): Promise<LoopState<Epoch, Best>> {
  const { folder, parameters, optimizer } = loop;
  const last = lastCheckpoint(folder);
  const resumed = await loadCheckpointOf(loop.state, last, { parameters, optimizer });
  if (resumed === undefined) await loop.begin?.();
  else loop.onResume?.(resumed);
  let state = resumed ?? { epochs: 0, steps: 0, best: null, history: [] };
  for (let epoch = state.epochs; epoch < loop.epochs; epoch++) {
    const started = performance.now();
    const trained = await trainEpoch(loop, { epoch, steps: state.steps });
    state = await withAverages(optimizer, async () => {
      const judged = await loop.judge();
      const { score } = judged;
      const before = state.best === null ? null : loop.best.score(state.best);
      const isBest = score === null || before === null || score > before;
      const best = isBest ? loop.best.of(epoch, score) : state.best;
      const seconds = (performance.now() - started) / 1000;
      const record = loop.record({ ...trained, seconds }, judged);
      const steps = state.steps + stepsPerEpoch(loop);
      const next = { epochs: epoch + 1, steps, best, history: [...state.history, record] };
      if (isBest)
        await saveCheckpoint(bestCheckpoint(folder), { parameters, state: next, about: loop.about ?? {} });
      return next;
    });
    await saveCheckpoint(last, { parameters, optimizer, state });
    await loop.onEpoch?.(state, (performance.now() - started) / 1000);
  }
  await loadCheckpointOf(loop.state, bestCheckpoint(folder), { parameters });
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
): Promise<Omit<TrainedEpoch, 'seconds'>> {
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
