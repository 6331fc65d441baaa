// The training loop that members and slice networks share: epochs, steps, validation, best epoch, checkpoints, resuming.
import { permutation, UserError, writeFileAtomic } from '@ct-ensemble/core';
import type { Optimizer } from '@ct-ensemble/engine';
import type { Metadata, Parameters } from '@ct-ensemble/models';
import type { Tensor1D } from '@tensorflow/tfjs';
import type { z } from 'zod';
import { withAverages } from './averages.ts';
import { type InsideEpoch, restoreCheckpoint, tensorsOf } from './checkpoint.ts';
import { failedWriteWarning, openCheckpointWriter, removePrevious } from './checkpoint-folder.ts';
import { type Durations, historyFile, historyText, UNKNOWN } from './history.ts';
import { StoppedError } from './predict.ts';
import { type BoundBest, type LoopState, requireBestOf, resume, type Resumed } from './resume.ts';
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
  /** Called when the run resumes, with the durations of the last finished epoch and the finished steps of the next one. */
  onResume?: (state: LoopState<Epoch, Best>, last: { durations: Durations; steps: number }) => void;
  /** Called with what a person should know of and what does not stop the training. */
  onWarning: (message: string) => void;
  onStep?: (step: { epoch: number; step: number; loss: number; seconds: number }) => void;
  /** Called after the checkpoints of an epoch were written; `seconds` include the writing. */
  onEpoch?: (state: LoopState<Epoch, Best>, seconds: number) => Promise<void> | void;
  /** The error for a loss or a score that is not finite ends with this advice. */
  remedy: string;
  /**
   * A checkpoint is written at the first step after so many seconds without one, beside those at the ends of epochs;
   * 0: only at the ends of epochs. Default 300.
   */
  checkpointSeconds?: number | undefined;
  /** The clock that `checkpointSeconds` is measured by, in seconds; default: the process's monotonic clock. */
  clock?: (() => number) | undefined;
  /**
   * Called before each step; returning true ends the run with a StoppedError. The finished steps of the epoch are kept in a
   * checkpoint, also if `judge` throws a StoppedError, unless checkpoints are only written at the ends of epochs.
   */
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
  const { folder, parameters, optimizer, identity, onWarning } = loop;
  const kind = { folder, schema: loop.state, identity };
  const size = { batchSize: loop.batchSize, stepsPerEpoch: stepsPerEpoch(loop) };
  const resumed = await resume({ ...kind, ...size, epochs: loop.epochs, onWarning });
  let state: LoopState<Epoch, Best> = resumed?.state ?? { epochs: 0, steps: 0, best: null, history: [] };
  const durations = resumed?.durations ?? [];
  let inside = resumed?.last.inside;
  if (resumed === undefined) await loop.begin?.();
  else {
    restoreCheckpoint(resumed.last, { parameters, optimizer });
    reportMicroBatches(loop, resumed);
    loop.onResume?.(state, { durations: durations.at(-1) ?? UNKNOWN, steps: inside?.steps ?? 0 });
    resumed.last.tensors.clear(); // They are not needed any more, and large.
  }
  const metadata = { ...loop.about, ...identity, [MICRO_BATCH]: String(microBatchOf(loop)) };
  const writer = openCheckpointWriter({ folder, metadata, parameters, optimizer });
  const isDue = dueAfter(loop);
  try {
    for (let epoch = state.epochs; epoch < loop.epochs; epoch++) {
      const started = performance.now() - (inside?.seconds ?? 0) * 1000;
      const seconds = () => (performance.now() - started) / 1000;
      /** Finished steps of this epoch in the latest checkpoint. */
      let kept = inside?.steps ?? 0;
      const keep = async (now: FinishedSteps) => {
        kept = now.steps;
        await writer.writeInside(state, { ...now, batchSize: loop.batchSize, seconds: seconds() });
      };
      const keepAtStop = async (now: FinishedSteps) => {
        if (now.steps <= kept || loop.checkpointSeconds === 0) return;
        await writer.settled();
        await keep(now);
      };
      const { waited, lossSum, ...trained } = await trainEpoch(loop, {
        epoch,
        steps: state.steps,
        inside,
        async atStep(now) {
          writer.check();
          if (!writer.isWriting && isDue()) await keep(now);
        },
        atStop: keepAtStop,
      });
      inside = undefined;
      const best = await withAverages(optimizer, async () => {
        const judged = await loop.judge(epoch);
        const { score } = judged;
        if (score !== null && !Number.isFinite(score))
          throw new UserError(`the score is ${score} in epoch ${epoch + 1}`, { remedy: loop.remedy });
        const before = state.best === null ? null : loop.best.score(state.best);
        const isBest = score === null || before === null || score > before;
        durations.push({ seconds: seconds(), waited });
        const weights = isBest ? await tensorsOf({ parameters }) : undefined;
        state = {
          epochs: epoch + 1,
          steps: state.steps + stepsPerEpoch(loop),
          best: weights ? { ...loop.best.of(epoch, score), sha256: weights.sha256 } : state.best,
          history: [...state.history, loop.record(trained, judged)],
        };
        return weights;
      }).catch(async (error: unknown) => {
        if (error instanceof StoppedError) await keepAtStop({ steps: stepsPerEpoch(loop), lossSum, waited });
        throw error;
      });
      await writer.settled();
      await writer.writeEpoch(state, best);
      await writeFileAtomic(historyFile(folder), historyText(state.history, durations));
      isDue.restart();
      await loop.onEpoch?.(state, seconds());
    }
  } finally {
    const failure = await writer.close();
    if (failure !== undefined) onWarning(failedWriteWarning(failure));
  }
  restoreCheckpoint(await requireBestOf(kind, state), { parameters });
  await removePrevious(folder);
  return state;
}

/** Metadata field of the checkpoints: number of scans of a micro-batch. */
const MICRO_BATCH = 'micro_batch';
const microBatchOf = ({
  batchSize,
  accumulate = 1,
}: {
  batchSize: number;
  accumulate?: number | undefined;
}) => batchSize / accumulate;

/** Warns if the steps before the checkpoint were computed in micro-batches of another size. */
function reportMicroBatches(
  loop: { batchSize: number; accumulate?: number | undefined; onWarning: (message: string) => void },
  { last: { metadata, inside, state } }: Resumed<unknown, BoundBest>,
) {
  const [before, now] = [metadata[MICRO_BATCH], String(microBatchOf(loop))];
  if (before === undefined || before === now) return; // Checkpoints of earlier versions do not say it.
  loop.onWarning(
    `from epoch ${state.epochs + 1}, step ${(inside?.steps ?? 0) + 1} on with micro-batches of ${now} scans, before of ${before}. ` +
      `The steps still have ${loop.batchSize} scans, but statistics of batch normalisation and draws of dropout and mixup go by ` +
      'micro-batch: the files are no longer byte for byte those of an uninterrupted run.',
  );
}

/** Whether so many seconds have passed since the last checkpoint was due or `restart` was called. */
function dueAfter(loop: { checkpointSeconds?: number | undefined; clock?: (() => number) | undefined }) {
  const { checkpointSeconds = 300, clock = () => performance.now() / 1000 } = loop;
  let last = clock();
  const restart = () => void (last = clock());
  const isDue = () => {
    const due = checkpointSeconds > 0 && clock() - last >= checkpointSeconds;
    if (due) restart();
    return due;
  };
  return Object.assign(isDue, { restart });
}

/** Number of optimizer steps in an epoch. */
export const stepsPerEpoch = ({ samples, batchSize }: { samples: number; batchSize: number }) =>
  Math.ceil(samples / batchSize);

/** What a checkpoint inside an epoch keeps of its finished steps. */
type FinishedSteps = Pick<InsideEpoch, 'steps' | 'lossSum' | 'waited'>;

async function trainEpoch<
  Batch extends { samples: readonly number[] },
  Judged extends { score: number | null },
  Epoch,
  Best,
>(
  loop: LoopOptions<Batch, Judged, Epoch, Best>,
  options: {
    epoch: number;
    /** Number of finished steps of all epochs before. */
    steps: number;
    /** The steps of this epoch that were finished before the run resumed. */
    inside: InsideEpoch | undefined;
    /** Called after each step but the epoch's last. */
    atStep(now: FinishedSteps): Promise<void>;
    /** Called before the next step if the run ends because it was asked to stop. */
    atStop(now: FinishedSteps): Promise<void>;
  },
): Promise<TrainedEpoch & { waited: number; lossSum: number }> {
  const { epoch, steps, inside } = options;
  const { samples, batchSize, accumulate = 1, optimizer } = loop;
  const order = permutation(samples, { seed: loop.seed, purpose: 'shuffle', epoch });
  const rateOf = (step: number) =>
    learningRateAt(loop.schedule, { epoch, step, stepsPerEpoch: stepsPerEpoch(loop), epochs: loop.epochs });
  let [lossSum, waited, done] = [inside?.lossSum ?? 0, inside?.waited ?? 0, inside?.steps ?? 0];
  let [taken, part, stepLoss, stepSeconds] = [done * batchSize, done * accumulate, 0, 0];
  // A run that was stopped while the epoch was being validated has no step left.
  let learningRate = rateOf(steps + Math.min(done, stepsPerEpoch(loop) - 1));
  let asked = performance.now();
  for await (const batch of loop.batches(order.slice(taken), microBatchOf(loop))) {
    const isNextStep = part === done * accumulate;
    if (isNextStep && loop.stop?.()) {
      await options.atStop({ steps: done, lossSum, waited });
      throw new StoppedError('training was stopped on request');
    }
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
    lossSum += stepLoss * stepSamples.length;
    loop.onStep?.({ epoch, step: done, loss: stepLoss, seconds: stepSeconds });
    [stepLoss, stepSeconds] = [0, 0];
    if (taken < samples) await options.atStep({ steps: done, lossSum, waited });
    asked = performance.now();
  }
  return { epoch, learningRate, loss: lossSum / samples, waited, lossSum };
}
