// Resuming: the checkpoints must belong to this training and to each other, and the files beside them follow from the state.
import { fenced, UserError } from '@ct-ensemble/core';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import {
  bestCheckpoint,
  type Checkpoint,
  type CheckpointKind,
  DamagedCheckpoint,
  lastCheckpoint,
  nextBestCheckpoint,
  previousBestCheckpoint,
  previousCheckpoint,
  readCheckpoint,
  stateFile,
  trainAnew,
  withInside,
} from './checkpoint.ts';
import { removeIncomplete, replaceBest, stateText } from './checkpoint-folder.ts';
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
  /** Number of scans of a step, and of steps of an epoch. */
  batchSize: number;
  stepsPerEpoch: number;
  onWarning: (message: string) => void;
}

export interface Resumed<Epoch, Best> {
  last: Checkpoint<LoopState<Epoch, Best>>;
  state: LoopState<Epoch, Best>;
  durations: Durations[];
}

/**
 * Reads the last checkpoint, checks that the best checkpoint is the one that it names, and rewrites last.json, best.json and
 * history.jsonl where they differ from the state. If the last checkpoint is damaged, the one before takes its place, with a
 * warning. Returns undefined if there is no last checkpoint.
 *
 * @throws {UserError} if a checkpoint is missing, damaged, or of another training or epoch
 */
export async function resume<Epoch extends { epoch: number; loss: number }, Best extends BoundBest>(
  options: ResumeOptions<Epoch, Best>,
): Promise<Resumed<Epoch, Best> | undefined> {
  const { folder, epochs, onWarning } = options;
  await removeIncomplete(folder);
  const last = await readLast(options);
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
  requireInside(last, options);
  if (!last.hasDigests)
    onWarning(
      `${last.file} was written by an earlier version, without digests: that the checkpoints belong together was checked only by their epochs`,
    );
  await adoptNextBest(options, last.state);
  // Inside the first epoch there is no best one yet.
  const best = hasNoBestYet(last) ? undefined : await requireBestOf(options, last.state);
  const state = best ? { ...last.state, best: { ...last.state.best!, sha256: best.sha256 } } : last.state;
  const durations = await readDurations(folder, state.history);
  for (const checkpoint of best ? [last, best] : [last])
    await writeIfChanged(stateFile(checkpoint.file), stateText(withInside(checkpoint)));
  await writeIfChanged(historyFile(folder), historyText(state.history, durations));
  return { last, state, durations };
}

const hasNoBestYet = ({ state, inside }: Checkpoint<LoopState<unknown, unknown>>) =>
  state.best === null && state.epochs === 0 && inside !== undefined;

/** @throws {UserError} if a checkpoint inside an epoch does not fit the training's epochs and steps. */
function requireInside(
  { file, state, inside }: Checkpoint<{ epochs: number }>,
  { epochs, batchSize, stepsPerEpoch }: { epochs: number; batchSize: number; stepsPerEpoch: number },
) {
  if (inside === undefined) return;
  const refuse = (problem: string, remedy = trainAnew(file)) => {
    throw new UserError(problem, { file, remedy });
  };
  if (state.epochs >= epochs)
    refuse(
      `was written inside epoch ${state.epochs + 1}, but the training has ${epochs} epochs`,
      `set epochs to ${state.epochs + 1} or more, or ${trainAnew(file)}`,
    );
  if (inside.batchSize !== batchSize)
    refuse(`belongs to another training: batchSize is ${inside.batchSize}, expected ${batchSize}`);
  if (inside.steps > stepsPerEpoch)
    refuse(
      `was written after step ${inside.steps} of an epoch, but the training's epochs have ${stepsPerEpoch} steps`,
    );
}

/** Reads the last checkpoint; if it is damaged, puts the previous one in its place, with the best checkpoint that it names. */
async function readLast<Epoch, Best extends BoundBest>(
  options: ResumeOptions<Epoch, Best>,
): Promise<Checkpoint<LoopState<Epoch, Best>> | undefined> {
  const [file, before] = [lastCheckpoint(options.folder), previousCheckpoint(options.folder)];
  let problem = 'is missing';
  try {
    const last = await readCheckpoint(file, options);
    if (last !== undefined || !existsSync(before)) return last;
  } catch (error) {
    if (!(error instanceof DamagedCheckpoint)) throw error;
    if (!existsSync(before)) throw error;
    problem = error.problem;
  }
  const unusable = (reason: string) =>
    new UserError(`${problem}; the checkpoint before it cannot be used either: ${reason}`, {
      file,
      remedy: trainAnew(file),
    });
  const previous = await readCheckpoint(before, options).catch((error: unknown) => {
    throw error instanceof UserError ? unusable(`${before} ${error.problem}`) : error;
  });
  if (!hasNoBestYet(previous!) && !(await restoreBest(options, previous!.state)))
    throw unusable(`the best checkpoint of epoch ${(previous!.state.best?.epoch ?? 0) + 1}, which it names, is missing or damaged`); // prettier-ignore
  await fenced.rename(before, file);
  const { state, inside } = previous!;
  const place = inside === undefined ? '' : ` and ${inside.steps} steps of the next one`;
  options.onWarning(
    `${file} ${problem}: training goes on from the checkpoint before it, after ${state.epochs} epochs${place}`,
  );
  return { ...previous!, file };
}

/** Makes sure that the best checkpoint is the one that the previous checkpoint names. Returns false if there is none. */
async function restoreBest<Epoch, Best extends BoundBest>(
  options: CheckpointKind<LoopState<Epoch, Best>> & { folder: string },
  { best }: LoopState<Epoch, Best>,
): Promise<boolean> {
  const isBest = async (file: string) => {
    const found = await readCheckpoint(file, options).catch((error: unknown) => {
      if (error instanceof UserError) return undefined;
      throw error;
    });
    return found !== undefined && problemOf(found, best) === undefined;
  };
  const [file, kept] = [bestCheckpoint(options.folder), previousBestCheckpoint(options.folder)];
  if (await isBest(file)) return true;
  if (!(await isBest(kept))) return false;
  await fenced.rename(kept, file);
  return true;
}

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
    await replaceBest(options.folder);
  else await fenced.rm(file);
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
