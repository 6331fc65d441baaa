// What runs a member stands behind this interface: a worker thread or a child process. It assumes no shared
// memory: a task is plain data, and what the worker reports are plain messages.
import type { Device } from '@ct-ensemble/engine';
import type { Progress } from '@ct-ensemble/training';
import type { Isolation, ProgressRecord } from '../../run-status.ts';
import type { PredictedSplit } from '../member-probabilities.ts';
import type { MemberPlan, Plan } from '../plan.ts';
import type { Failure, FailureKind } from '../schedule.ts';
import type { SliceDraws } from '../slice-draws.ts';
import type { TestTimeAugmentation } from '../test-time-augmentation.ts';

/** One attempt to train a member, or to predict with a trained one. It can be written as JSON. */
export interface MemberTask {
  run: string;
  plan: Plan;
  member: MemberPlan;
  device: Device;
  /** The device as in `--devices`. */
  deviceName: string;
  /** Folder of the volume store. */
  store: string;
  /** The member is trained, and its probabilities for these splits are to be made; absent: it is to be trained. */
  splits?: readonly PredictedSplit[];
  /** The same for probabilities with test-time augmentation; the member is trained. */
  augmented?: {
    by: TestTimeAugmentation;
    splits: readonly PredictedSplit[];
    /** The volumes of further draws of slices, of these splits at least. */
    volumes: SliceDraws['volumes'];
  };
  /** Counts from 1. */
  attempt: number;
  isolation: Isolation;
  /** The job of a cluster that trains the member, such as `12_3`; absent: none does. */
  job?: string;
  /** Seconds between checkpoints inside an epoch; 0: only at the end of each epoch. */
  checkpointSeconds?: number;
  /** File of the worker's module; its default export is a `MemberWork`. */
  worker: string;
}

/** How a member's task ended. Errors are thrown. */
export interface MemberResult {
  status: 'done' | 'stopped';
  /** Macro F1 of the best epoch on the validation scans. */
  macroF1: number | null;
}

export interface MemberObserver {
  progress(progress: Progress): void;
  /** Something that the user should know of, which does not stop the member. */
  note(note: string): void;
}

/** The worker's side of a running member. */
export interface MemberLink extends MemberObserver {
  /** The training has ended, and the member predicts. */
  predicting(): void;
  /** Whether the member shall stop after its present step. */
  stop(): boolean;
}

/**
 * What a worker's module exports by default. It does not know in which thread, process or machine it runs. An error that it throws is
 * of the kind `user` if it is a UserError, that of a MemberFailure if it is one, else `exception`.
 */
export type MemberWork = (task: MemberTask, link: MemberLink) => Promise<MemberResult>;

export interface MemberPort {
  start(task: MemberTask, observer: MemberObserver): RunningMember;
  /** Ends idle threads. No member may be running. */
  close(): Promise<void>;
}

export interface RunningMember {
  /** How the member ended. Rejects with a `MemberFailure`; nothing of the attempt runs any more then. */
  readonly result: Promise<MemberResult>;
  /** Asks the member to stop after its present step. */
  stop(): void;
  /** The member's last progress.json. */
  status(): Promise<ProgressRecord | undefined>;
  /** The last lines that the worker wrote to its standard error. */
  logs(): string;
}

/** What ended an attempt. */
export interface Cause {
  kind: FailureKind;
  signal?: string | null;
  exitCode?: number | null;
  /** Last lines of the worker's standard error, or the stack of its error. */
  stderrTail?: string;
  /** The error that led to this one. */
  cause?: unknown;
}

/** The failure of an attempt. `reason` is one line. */
export class MemberFailure extends Error implements Failure {
  readonly reason: string;
  readonly kind: FailureKind;
  readonly signal: string | null;
  readonly exitCode: number | null;
  readonly stderrTail: string | null;
  /** Whether the attempt wrote a checkpoint; set by the coordinator. */
  progressed = false;

  constructor(reason: string, { kind, signal = null, exitCode = null, stderrTail = '', cause }: Cause) {
    super(reason, { cause });
    this.reason = reason;
    this.name = 'MemberFailure';
    this.kind = kind;
    this.signal = signal;
    this.exitCode = exitCode;
    this.stderrTail = stderrTail || null;
  }
}
