// The files of a training's checkpoints: how one takes the place of another, and how they are written, at the ends of epochs and
// inside epochs, there while the training goes on.
import { codeOf, fenced, messageOf, UserError, writeFileAtomic } from '@ct-ensemble/core';
import type { Optimizer } from '@ct-ensemble/engine';
import { digestedParts, encodeSafetensors, type Metadata, type Parameters } from '@ct-ensemble/models';
import { existsSync } from 'node:fs';
import {
  bestCheckpoint,
  type CheckpointTensors,
  copyTensors,
  type InsideEpoch,
  lastCheckpoint,
  metadataOf,
  nextBestCheckpoint,
  nextLastCheckpoint,
  previousBestCheckpoint,
  previousCheckpoint,
  stateFile,
  tensorsOf,
  withInside,
  writeCheckpoint,
} from './checkpoint.ts';
import { type FileThread, openFileThread } from './file-thread.ts';

/** The content of the copy of a state. */
export const stateText = (state: unknown) => `${JSON.stringify(state, null, 2)}\n`;

/**
 * Puts the complete next last checkpoint in the place of the last one, which becomes the previous one. After a kill at any
 * moment there is a complete last checkpoint if there was one before.
 */
async function replaceLast(folder: string) {
  const last = lastCheckpoint(folder);
  if (existsSync(last)) await keepAs(previousCheckpoint(folder), last);
  await fenced.rename(nextLastCheckpoint(folder), last);
}

/**
 * Puts the next best checkpoint, which the last checkpoint names, in the place of the best one. That one is kept, because the
 * previous checkpoint names it.
 */
export async function replaceBest(folder: string) {
  const best = bestCheckpoint(folder);
  if (existsSync(best)) await keepAs(previousBestCheckpoint(folder), best);
  await fenced.rename(nextBestCheckpoint(folder), best);
}

const noHardLinks = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

/** Gives a file a second name, which may be taken; on file systems without hard links the file is copied. */
async function keepAs(name: string, file: string) {
  await fenced.rm(name);
  try {
    await fenced.link(file, name);
  } catch (error) {
    if (!noHardLinks.has(codeOf(error) ?? '')) throw error;
    await fenced.copyFile(file, name);
  }
}

/** The files that the trainings of earlier starts may have left and that no complete checkpoint is. */
export async function removeIncomplete(folder: string) {
  const file = nextLastCheckpoint(folder);
  if (existsSync(file)) await fenced.rm(file);
}

/** Removes what is kept only for the case that the last checkpoint is damaged. */
export async function removePrevious(folder: string) {
  await fenced.rm(previousCheckpoint(folder));
  await fenced.rm(previousBestCheckpoint(folder));
}

export interface CheckpointWriter {
  /** Whether a checkpoint inside an epoch is being written. */
  readonly isWriting: boolean;
  /** Throws the error of a checkpoint that could not be written, once. */
  check(): void;
  /** Waits until no checkpoint is being written, then as `check`. */
  settled(): Promise<void>;
  /** Copies weights and optimizer state; the copy is written while the caller goes on. Only if none is being written. */
  writeInside(state: unknown, inside: InsideEpoch): Promise<void>;
  /** Writes the checkpoints of an epoch; `best` are its weights if it is the best epoch. */
  writeEpoch(state: unknown, best: CheckpointTensors | undefined): Promise<void>;
  /** Waits for the checkpoint being written. An error that nobody has been told of is returned. */
  close(): Promise<unknown>;
}

/** The writer of a training's checkpoints. Its thread is started by the first checkpoint inside an epoch. */
export function openCheckpointWriter(options: {
  folder: string;
  metadata: Metadata;
  parameters: Parameters;
  optimizer: Optimizer;
}): CheckpointWriter {
  const { folder, metadata, parameters, optimizer } = options;
  const last = lastCheckpoint(folder);
  let thread: FileThread | undefined;
  let writing: Promise<void> | undefined;
  let failure: { error: unknown } | undefined;
  /** Memory of the copies, which the thread reads without copying them again. */
  const memory = new Map<string, Float32Array>();
  const space = (name: string, length: number) => {
    const own = memory.get(name) ?? new Float32Array(new SharedArrayBuffer(4 * length));
    memory.set(name, own);
    return own;
  };
  const check = () => {
    if (failure === undefined) return;
    const { error } = failure;
    failure = undefined;
    throw error;
  };
  const settled = async () => {
    await writing;
    check();
  };
  return {
    get isWriting() {
      return writing !== undefined;
    },
    check,
    settled,
    async writeInside(state, inside) {
      const { tensors, untransposed } = await copyTensors({ parameters, optimizer }, space);
      const write = async () => {
        thread ??= openFileThread();
        await thread.transpose(untransposed);
        const content = { sha256: await thread.digest(digestedParts(tensors)), optimizer: optimizer.name };
        const complete = metadataOf(content, { state, inside, metadata });
        await thread.write(nextLastCheckpoint(folder), encodeSafetensors(tensors, complete));
        await replaceLast(folder);
        // The previous checkpoint names the same best one as this checkpoint.
        await fenced.rm(previousBestCheckpoint(folder));
        await writeFileAtomic(stateFile(last), stateText(withInside({ state, inside })));
      };
      writing = write()
        .catch((error: unknown) => void (failure = { error }))
        .finally(() => (writing = undefined));
    },
    async writeEpoch(state, best) {
      if (best) await writeCheckpoint(nextBestCheckpoint(folder), best, { state, metadata });
      // The last checkpoint names the best one by its digest. Until it is written, the best one before stays in its place.
      const tensors = await tensorsOf({ parameters, optimizer });
      await writeCheckpoint(nextLastCheckpoint(folder), tensors, { state, metadata });
      await replaceLast(folder);
      if (best) {
        await replaceBest(folder);
        await writeFileAtomic(stateFile(bestCheckpoint(folder)), stateText(state));
      } else await fenced.rm(previousBestCheckpoint(folder));
      await writeFileAtomic(stateFile(last), stateText(state));
    },
    async close() {
      await writing;
      await thread?.close();
      return failure?.error;
    },
  };
}

/** A failed write that is not what ended the training, as a warning. */
export const failedWriteWarning = (error: unknown) =>
  `a checkpoint inside the epoch could not be written: ${error instanceof UserError ? error.message : messageOf(error)}`;
