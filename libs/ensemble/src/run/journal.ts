// What a worker writes about its member for people and other programs: progress.json and log.txt. The training never waits for it.
import { hostname } from 'node:os';
import { messageOf } from '@ct-ensemble/core';
import type { Progress } from '@ct-ensemble/training';
import { appendLog, type LogLevel, type ProgressRecord, writeProgress } from '../run-status.ts';
import type { MemberTask } from './ports/port.ts';

/** Milliseconds between two writes of progress.json while the state stays the same. */
const interval = 2000;

export interface MemberJournal {
  started(): void;
  progress(progress: Progress): void;
  state(state: ProgressRecord['state']): void;
  note(note: string): void;
  /** Waits until everything is written. */
  flush(): Promise<void>;
}

/** `onFault` is called once if the files cannot be written; the training goes on without them. */
export function memberJournal(task: MemberTask, onFault: (fault: string) => void): MemberJournal {
  const { run, member, plan, splits } = task;
  const { batchSize } = plan.recipe.training;
  let record = initialProgress(task);
  let written = 0;
  let isWaiting = false;
  let isFaulty = false;
  let last = Promise.resolve();
  const inTurn = (write: () => Promise<void>) => {
    last = last.then(write).catch((error: unknown) => {
      if (!isFaulty) onFault(`its progress and log cannot be written: ${messageOf(error)}`);
      isFaulty = true;
    });
  };
  const log = (level: LogLevel, text: string) =>
    inTurn(() => appendLog({ run, member: member.name }, level, text));
  const write = () => {
    if (isWaiting) return; // A write that waits for its turn writes the newest record.
    isWaiting = true;
    written = performance.now();
    inTurn(() => {
      isWaiting = false;
      return writeProgress(run, member.name, record);
    });
  };
  const change = (changes: Partial<ProgressRecord>) => {
    const isNewState = changes.state !== undefined && changes.state !== record.state;
    record = { ...record, ...changes, updatedAt: new Date().toISOString(), peakMemoryBytes: peakMemory() };
    if (isNewState || performance.now() - written >= interval) write();
  };
  const rate = stepRate();
  return {
    started() {
      const what = splits ? `predicts the scans of ${splits.join(' and ')}` : `attempt ${task.attempt}`;
      log('info', `${what} on ${task.deviceName} (${task.isolation}, pid ${process.pid})`);
      write();
    },
    progress(progress) {
      const { epoch, epochs, step, stepsPerEpoch, loss, macroF1, best } = progress;
      const isInside = progress.kind === 'resumed' && step > 0;
      const now = { epoch: isInside ? epoch + 1 : epoch, epochs, step, stepsPerEpoch, loss, macroF1, best };
      const { secondsPerStep, secondsLeft } = rate(progress);
      const samplesPerSecond = secondsPerStep ? batchSize / secondsPerStep : null;
      change({ state: 'training', ...now, secondsPerStep, secondsLeft, samplesPerSecond });
      if (progress.kind === 'resumed')
        log(
          'info',
          `resumed from its checkpoint after epoch ${epoch} of ${epochs}` +
            (isInside ? ` and step ${step} of ${stepsPerEpoch} of the next` : ''),
        );
      if (progress.kind === 'epoch')
        log(
          'info',
          `epoch ${epoch}/${epochs}: loss ${loss?.toFixed(4)}, macro F1 ${macroF1?.toFixed(4) ?? '–'}, ` +
            `best ${best?.toFixed(4) ?? '–'}, ${progress.seconds.toFixed(1)} s`,
        );
    },
    state(state) {
      if (state !== 'predicting') log('info', state);
      change({ state });
    },
    note: (note) => log('warning', note),
    flush: () => last,
  };
}

/** The progress of an attempt that has just started. */
export function initialProgress(task: MemberTask): ProgressRecord {
  const now = new Date().toISOString();
  const { training } = task.plan.recipe;
  return {
    version: 1,
    state: 'starting',
    attempt: task.attempt,
    device: task.deviceName,
    isolation: task.isolation,
    ...(task.job !== undefined && { job: task.job }),
    pid: process.pid,
    host: hostname(),
    startedAt: now,
    updatedAt: now,
    epoch: null,
    epochs: training.epochs,
    step: null,
    stepsPerEpoch: null,
    loss: null,
    macroF1: null,
    best: null,
    secondsPerStep: null,
    secondsLeft: null,
    samplesPerSecond: null,
    peakMemoryBytes: null,
    accumulate: task.member.accumulate ?? training.accumulate ?? 1,
    message: null,
  };
}

const peakMemory = () => process.resourceUsage().maxRSS * 1024;

/** Estimates from the steps and epochs so far. The first step of an attempt builds the graph, and does not count. */
function stepRate() {
  let [steps, seconds] = [0, 0];
  let isFirst = true;
  /** Seconds of an epoch beside its steps: validation, checkpoints. */
  let beside = 0;
  let ofEpoch = 0;
  return ({ kind, epoch, epochs, step, stepsPerEpoch, seconds: duration }: Progress) => {
    if (kind === 'step') {
      ofEpoch += duration;
      if (!isFirst) [steps, seconds] = [steps + 1, seconds + duration];
      isFirst = false;
    }
    if (kind === 'epoch') {
      beside = Math.max(0, duration - ofEpoch);
      ofEpoch = 0;
    }
    const secondsPerStep = steps === 0 ? null : seconds / steps;
    const isInside = kind === 'resumed' && step > 0;
    const stepsLeft =
      (epochs - epoch) * stepsPerEpoch + (kind === 'step' ? stepsPerEpoch - step : isInside ? -step : 0);
    const epochsLeft = epochs - epoch + (kind === 'step' ? 1 : 0);
    const secondsLeft = secondsPerStep === null ? null : stepsLeft * secondsPerStep + epochsLeft * beside;
    return { secondsPerStep, secondsLeft };
  };
}
