// How far a training's last checkpoint is, from the head of its file: the tensors are not read.
import { codeOf, MAX_BYTES, openRegularFile } from '@ct-ensemble/core';
import { z } from 'zod';
import { INSIDE, lastCheckpoint } from './checkpoint.ts';

/** How far a checkpoint is. */
export interface CheckpointPlace {
  /** Finished epochs. */
  epoch: number;
  /** Finished steps of the epoch after them. */
  step: number;
}

const placeSchema = z.looseObject({
  epochs: z.int().nonnegative(),
  insideEpoch: z.looseObject({ steps: z.int().nonnegative() }).optional(),
});

/** Of a safetensors file's JSON header. */
const longestHeader = 2 ** 24;

/**
 * How far the last checkpoint in a training's folder is; undefined if there is none, or if its head cannot be understood.
 * @throws {UserError} or a system error if the file cannot be read.
 */
export async function lastCheckpointPlace(folder: string): Promise<CheckpointPlace | undefined> {
  const maxBytes = MAX_BYTES.weights;
  const file = await openRegularFile(lastCheckpoint(folder), { maxBytes }).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  const { handle } = file;
  try {
    const head = await handle.read(Buffer.alloc(8), 0, 8, 0);
    const length = head.bytesRead === 8 ? Number(head.buffer.readBigUInt64LE()) : Infinity;
    if (length > longestHeader) return undefined;
    const { buffer } = await handle.read(Buffer.alloc(length), 0, length, 8);
    const { __metadata__: metadata } = JSON.parse(buffer.toString('utf8')) as Record<
      string,
      Record<string, string> | undefined
    >;
    const { epochs, insideEpoch } = placeSchema.parse(
      JSON.parse(metadata?.['state'] ?? metadata?.[INSIDE] ?? 'null'),
    );
    return { epoch: epochs, step: insideEpoch?.steps ?? 0 };
  } catch (error) {
    if (codeOf(error) !== undefined) throw error;
    return undefined;
  } finally {
    await handle.close();
  }
}
