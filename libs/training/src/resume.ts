// Resuming: the checkpoints must belong to this training and to each other, and the files beside them follow from the state.
import { UserError } from '@ct-ensemble/core';
import { existsSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import {
  bestCheckpoint,
  type Checkpoint,
  type CheckpointKind,
  lastCheckpoint,
  nextBestCheckpoint,
  readCheckpoint,
  stateFile,
  trainAnew,
} from './checkpoint.ts';
import { type Durations, historyFile, historyText, readDurations, writeIfChanged } from './history.ts';

/** State of a run, which a checkpoint holds beside the tensors. */
export interface LoopState<Epoch, Best> {
  /** Number of finished epochs. */
  epochs: number;
  /** Number of finished optimizer steps. */
  steps: number;
  best: Best | null;
  history: Epoch[];
}

/** The best epoch. The digest is that of the best checkpoint's tensors; states of earlier versions lack it. */
export interface BoundBest {
  epoch: number;
  sha256?: string | undefined;
}

export interface ResumeOptions<Epoch, Best> extends CheckpointKind<LoopState<Epoch, Best>> {
  folder: string;
  /** Number of epochs that the training has at the end. */
  epochs: number;
  onWarning: (message: string) => void;
}

export interface Resumed<Epoch, Best> {
  last: Checkpoint<LoopState<Epoch, Best>>;
  state: LoopState<Epoch, Best>;
  durations: Durations[];
}

/**
 * Reads the last checkpoint, checks that the best checkpoint is the one that it names, and rewrites last.json, best.json and
 * history.jsonl where they differ from the state. Returns undefined if there is no last checkpoint.
 *
 * @throws {UserError} if a checkpoint is missing, damaged, or of another training or epoch
 */
export async function resume<Epoch extends { epoch: number; loss: number }, Best extends BoundBest>(
  options: ResumeOptions<Epoch, Best>,
): Promise<Resumed<Epoch, Best> | undefined> {
  const { folder, epochs, onWarning } = options;
  const last = await readCheckpoint(lastCheckpoint(folder), options);
  if (last === undefined) {
    if (existsSync(bestCheckpoint(folder)))
      onWarning(`${lastCheckpoint(folder)} is missing: training begins anew with the first epoch`);
    return undefined;
  }
  if (last.state.epochs > epochs)
    throw new UserError(`has ${last.state.epochs} finished epochs, but the training has ${epochs}`, {
      file: last.file,
      remedy: `set epochs to ${last.state.epochs} or more, or ${trainAnew(last.file)}`,
    });
  if (!last.hasDigests)
    onWarning(
      `${last.file} was written by an earlier version, without digests: that the checkpoints belong together was checked only by their epochs`,
    );
  await adoptNextBest(options, last.state);
  const best = await requireBestOf(options, last.state);
  const state = { ...last.state, best: { ...last.state.best!, sha256: best.sha256 } };
  const durations = await readDurations(folder, state.history);
  for (const { file, state } of [last, best]) await writeIfChanged(stateFile(file), stateText(state));
  await writeIfChanged(historyFile(folder), historyText(state.history, durations));
  return { last, state, durations };
}

/** The content of the copy of a state. */
export const stateText = (state: unknown) => `${JSON.stringify(state, null, 2)}\n`;

/** Completes the change of the best checkpoint if the last checkpoint names the next one already; else removes the next one. */
async function adoptNextBest<Epoch, Best extends BoundBest>(
  options: CheckpointKind<LoopState<Epoch, Best>> & { folder: string },
  { best }: LoopState<Epoch, Best>,
) {
  const file = nextBestCheckpoint(options.folder);
  if (!existsSync(file)) return;
  // A damaged file is none that the last checkpoint can name.
  const next = await readCheckpoint(file, options).catch((error: unknown) => {
    if (error instanceof UserError) return undefined;
    throw error;
  });
  if (next !== undefined && next.sha256 === best?.sha256 && next.state.best?.epoch === best.epoch)
    await rename(file, bestCheckpoint(options.folder));
  else await rm(file);
}

/**
 * Reads the best checkpoint and checks that it is the one that the state names.
 *
 * @throws {UserError} if it is missing, damaged, or of another training or epoch; the message names the field, what was expected
 * and what was found.
 */
export async function requireBestOf<Epoch, Best extends BoundBest>(
  options: CheckpointKind<LoopState<Epoch, Best>> & { folder: string },
  { best: expected }: Pick<LoopState<Epoch, Best>, 'best'>,
): Promise<Checkpoint<LoopState<Epoch, Best>>> {
  const file = bestCheckpoint(options.folder);
  const best = await readCheckpoint(file, options);
  const problem = problemOf(best, expected);
  if (best === undefined || problem !== undefined)
    throw new UserError(problem ?? 'is missing', { file, remedy: trainAnew(file) });
  return best;
}

/** Why the checkpoint is not the expected best one; undefined if it is. */
function problemOf(
  found: Checkpoint<{ epochs: number; best?: { epoch: number } | null }> | undefined,
  expected: BoundBest | null,
): string | undefined {
  if (expected === null) return 'no epoch was the best one';
  const { epoch, sha256 } = expected;
  if (found === undefined) return `is missing; it was the best checkpoint, of epoch ${epoch + 1}`;
  if (found.state.epochs !== epoch + 1 || found.state.best?.epoch !== epoch)
    return `is not the best checkpoint: epoch is ${found.state.epochs}, expected ${epoch + 1}`;
  if (sha256 !== undefined && found.sha256 !== sha256)
    return `is not the best checkpoint: the digest of its tensors is ${found.sha256}, expected ${sha256}`;
  return undefined;
}

const anyState = z.looseObject({
  epochs: z.int(),
  steps: z.int(),
  best: z.looseObject({ epoch: z.int(), sha256: z.string().optional() }).nullable(),
  history: z.array(z.unknown()),
});

/** The fields of a member's done.json that name its weights. */
export interface DoneWeights {
  /** Counts from 1. */
  bestEpoch: number | null;
  /** Digest of the tensors of the best checkpoint; absent in runs of earlier versions. */
  sha256?: string | undefined;
}

/**
 * Checks that the weights of a finished member are those that its done.json names. Runs of earlier versions have no digest in
 * done.json; of their weights only the epoch is checked.
 *
 * @param folder the member's folder
 * @returns the file of the weights, the digest of its tensors, and whether done.json had a digest to compare it with
 * @throws {UserError} if the file is missing, damaged, or not the one that done.json names
 */
export async function requireBest(
  folder: string,
  { bestEpoch, sha256 }: DoneWeights,
): Promise<{ file: string; sha256: string; isVerified: boolean }> {
  const file = bestCheckpoint(folder);
  const remedy = `delete ${join(folder, 'done.json')} and the folder ${join(folder, 'checkpoints')} and train the member anew, or restore the file from a copy`;
  const found = await readCheckpoint(file, { schema: anyState, identity: {}, remedy });
  const problem = problemOf(found, bestEpoch === null ? null : { epoch: bestEpoch - 1, sha256 });
  if (found === undefined || problem !== undefined)
    throw new UserError(problem ?? 'is missing', { file, remedy });
  return { file, sha256: found.sha256, isVerified: sha256 !== undefined };
}
