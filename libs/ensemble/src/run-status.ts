// The files that make a running or finished run readable from outside: the coordinator's state, each member's progress, failure
// and log. They inform people and programs; no training depends on them.
import { mkdir, stat } from 'node:fs/promises';
import { fenced, requireFence, writeFileAtomic, writeJson } from '@ct-ensemble/core';
import { z } from 'zod';
import { readRecord } from './json-record.ts';
import {
  coordinatorFile,
  failedFile,
  logFile,
  memberFolder,
  progressFile,
  rotatedLogFile,
} from './run-folder.ts';
import type { FailureKind } from './run/schedule.ts';

export const isolations = ['thread', 'process'] as const;
/** Whether members run in worker threads of the coordinator's process or in child processes. */
export type Isolation = (typeof isolations)[number];

const failureKinds = [
  'exception',
  'out-of-memory',
  'signal',
  'exit',
  'user',
] as const satisfies FailureKind[];

const seconds = z.number().nonnegative().nullable();
const count = z.int().nonnegative().nullable();

export const progressSchema = z.object({
  version: z.literal(1),
  state: z.enum(['starting', 'training', 'predicting', 'done', 'stopped', 'failed', 'waiting-to-retry']),
  /** Counts from 1 since the start of the coordinator. */
  attempt: z.int().positive(),
  /** As in `--devices`. */
  device: z.string(),
  isolation: z.enum(isolations),
  /** The job of a cluster that trains the member, such as `12_3` (task 3 of array 12); absent: none does. */
  job: z.string().optional(),
  /** Process in which the member runs or ran. */
  pid: z.int().positive(),
  host: z.string(),
  /** Start of the attempt and time of this record, ISO 8601. */
  startedAt: z.string(),
  updatedAt: z.string(),
  /** Epoch being trained, or the last one when the training has ended; counts from 1. */
  epoch: count,
  epochs: count,
  /** Steps done in the epoch. */
  step: count,
  stepsPerEpoch: count,
  loss: z.number().nullable(),
  /** Of the last finished epoch on the validation scans. */
  macroF1: z.number().nullable(),
  best: z.number().nullable(),
  secondsPerStep: seconds,
  /** Estimate for the rest of the training, without the predictions after it. */
  secondsLeft: seconds,
  samplesPerSecond: z.number().nonnegative().nullable(),
  /** Peak resident memory of the process in bytes; with worker threads, of the whole coordinator. */
  peakMemoryBytes: z.number().nonnegative().nullable(),
  /** Micro-batches in a step. */
  accumulate: z.int().positive(),
  /** Why the member failed, waits or was stopped. */
  message: z.string().nullable(),
});

/** The content of a member's progress.json. Fields that are not known yet are null. */
export type ProgressRecord = z.infer<typeof progressSchema>;

export const failedSchema = z.object({
  reason: z.string(),
  /** Absent in runs of earlier versions, as are all fields below. */
  kind: z.enum(failureKinds).optional(),
  /** Number of the attempt that failed last; counts from 1. */
  attempt: z.int().positive().optional(),
  /** Signal that ended the member's process, such as `SIGSEGV`. */
  signal: z.string().nullable().optional(),
  exitCode: z.int().nullable().optional(),
  /** The last lines that the worker wrote to its standard error. */
  stderrTail: z.string().nullable().optional(),
});

/** The content of a member's failed.json. */
export type FailedRecord = z.infer<typeof failedSchema>;

export const coordinatorSchema = z.object({
  version: z.literal(1),
  pid: z.int().positive(),
  host: z.string(),
  startedAt: z.string(),
  updatedAt: z.string(),
  /** `running` is true only while the process of the run's `.claim` lives. */
  state: z.enum(['running', 'ended', 'stopped']),
  isolation: z.enum(isolations),
  /** Each device as in `--devices`, with the members that are running on it. */
  devices: z.array(z.object({ name: z.string(), members: z.array(z.string()) })),
  /** Members that wait for a device or for their next attempt. */
  waiting: z.array(z.string()),
});

/** The content of a run's coordinator.json. */
export type CoordinatorRecord = z.infer<typeof coordinatorSchema>;

const remedy = 'delete it: it only informs, and the next start of the training writes it anew';

/** A member's progress.json; undefined if there is none. @throws {UserError} if the file is no such record. */
export const readProgress = (run: string, member: string): Promise<ProgressRecord | undefined> =>
  readRecord(progressFile(run, member), { schema: progressSchema, remedy });

/** A member's failed.json; undefined if there is none. @throws {UserError} if the file is no such record. */
export const readFailed = (run: string, member: string): Promise<FailedRecord | undefined> =>
  readRecord(failedFile(run, member), { schema: failedSchema, remedy });

/** A run's coordinator.json; undefined if there is none. @throws {UserError} if the file is no such record. */
export const readCoordinator = (run: string): Promise<CoordinatorRecord | undefined> =>
  readRecord(coordinatorFile(run), { schema: coordinatorSchema, remedy });

/** Replaces a member's progress.json. It is not synced: after a power failure the file may be old or missing. */
export const writeProgress = (run: string, member: string, record: ProgressRecord) =>
  replaceJson(progressFile(run, member), record);

/** Replaces a run's coordinator.json, without syncing it. */
export const writeCoordinator = (run: string, record: CoordinatorRecord) =>
  replaceJson(coordinatorFile(run), record);

export const writeFailed = (run: string, member: string, record: FailedRecord) =>
  writeJson(failedFile(run, member), record);

const replaceJson = (file: string, value: unknown) =>
  writeFileAtomic(file, `${JSON.stringify(value)}\n`, { sync: false });

export type LogLevel = 'info' | 'warning' | 'error';

const maxLogBytes = 10_000_000;

/**
 * Appends `ISO-TIME LEVEL TEXT` to a member's log.txt; further lines of the text are indented. A log above 10 MB first becomes
 * log.1.txt, in place of an earlier one.
 */
export async function appendLog(
  { run, member }: { run: string; member: string },
  level: LogLevel,
  text: string,
) {
  const file = logFile(run, member);
  requireFence(file);
  await mkdir(memberFolder(run, member), { recursive: true });
  const { size } = await stat(file).catch(() => ({ size: 0 }));
  if (size > maxLogBytes) await fenced.rename(file, rotatedLogFile(run, member));
  await fenced.appendFile(
    file,
    `${new Date().toISOString()} ${level} ${text.trimEnd().replaceAll('\n', '\n  ')}\n`,
  );
}
