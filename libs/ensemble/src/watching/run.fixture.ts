// A run folder as the coordinator and its workers leave it, written by hand, for tests of what reads it.
import { mkdir, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { writeJson } from '@ct-ensemble/core';
import { coordinatorFile, failedFile, memberFolder, planFile, progressFile } from '../run-folder.ts';
import type { CoordinatorRecord, FailedRecord, ProgressRecord } from '../run-status.ts';
import { planOf, temporaryRun } from '../testing.fixture.ts';

export interface MadeRun {
  run: string;
  /** Finished epochs with these losses; every epoch takes 10 s, its macro F1 is 1 − loss. */
  history(member: string, losses: readonly number[]): Promise<void>;
  progress(member: string, fields?: Partial<ProgressRecord>): Promise<void>;
  coordinator(fields?: Partial<CoordinatorRecord>): Promise<void>;
  done(member: string, epochs?: number): Promise<void>;
  failed(member: string, record: FailedRecord): Promise<void>;
}

/** A run of the recipe `tiny` (2 epochs) with these members and nothing else. */
export async function madeRun(members: readonly string[], devices = ['cpu:1', 'cpu:1']): Promise<MadeRun> {
  const run = await temporaryRun();
  await writeJson(planFile(run), planOf(members, devices));
  return {
    run,
    async history(member, losses) {
      await mkdir(memberFolder(run, member), { recursive: true });
      const lines = losses.map((loss, epoch) =>
        JSON.stringify({ epoch, learningRate: 0.001, loss, macroF1: 1 - loss, seconds: 10, waited: 0 }),
      );
      await writeFile(
        join(memberFolder(run, member), 'history.jsonl'),
        lines.map((line) => `${line}\n`).join(''),
      );
    },
    progress: (member, fields) =>
      writeJson(progressFile(run, member), {
        version: 1,
        state: 'training',
        attempt: 1,
        device: 'cpu:1',
        isolation: 'thread',
        pid: process.pid,
        host: hostname(),
        startedAt: new Date().toISOString(),
        updatedAt: new Date().toISOString(),
        epoch: 1,
        epochs: 2,
        step: 5,
        stepsPerEpoch: 10,
        loss: 0.7,
        macroF1: null,
        best: null,
        secondsPerStep: 1,
        secondsLeft: 15,
        samplesPerSecond: 4,
        peakMemoryBytes: 1e9,
        accumulate: 1,
        message: null,
        ...fields,
      } satisfies ProgressRecord),
    coordinator: (fields) =>
      writeJson(coordinatorFile(run), {
        version: 1,
        pid: process.pid,
        host: hostname(),
        startedAt: new Date().toISOString(),
        updatedAt: new Date().toISOString(),
        state: 'running',
        isolation: 'thread',
        devices: devices.map((name) => ({ name, members: [] })),
        waiting: [],
        ...fields,
      } satisfies CoordinatorRecord),
    done: (member, epochs = 2) =>
      writeJson(join(memberFolder(run, member), 'done.json'), {
        epochs,
        bestEpoch: 2,
        macroF1: 0.9,
        weights: 'checkpoints/best.safetensors',
      }),
    failed: (member, record) => writeJson(failedFile(run, member), record),
  };
}
