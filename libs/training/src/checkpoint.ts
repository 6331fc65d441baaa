// Checkpoints: one safetensors file with everything that resuming a run needs, bound by digests to its training.
import { UserError } from '@ct-ensemble/core';
import {
  digestOfTensors,
  exportTensors,
  fromPyTorch,
  hasDigests,
  importTensors,
  type Layout,
  type Metadata,
  type Parameters,
  pytorchShape,
  readSafetensors,
  type StoredTensor,
  type StoredTensorOf,
  toPyTorch,
  withDigests,
  writeSafetensors,
} from '@ct-ensemble/models';
import type { Optimizer } from '@ct-ensemble/engine';
import tf, { type Tensor, type Variable } from '@tensorflow/tfjs';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';

const epochRecord = z.object({
  epoch: z.int(),
  learningRate: z.number(),
  /** Mean of the steps' losses. */
  loss: z.number(),
  /** Macro F1 on the validation scans; null if there are none. */
  macroF1: z.number().nullable(),
});
/** Digest of the best checkpoint's tensors; checkpoints of earlier versions have none. */
export const bestDigest = z.string().optional();
export const runState = z.object({
  /** Number of finished epochs. */
  epochs: z.int(),
  /** Number of finished optimizer steps. */
  steps: z.int(),
  best: z.object({ epoch: z.int(), macroF1: z.number().nullable(), sha256: bestDigest }).nullable(),
  history: z.array(epochRecord),
});

/** One epoch of a member's history. Epochs count from 0. */
export type EpochRecord = z.infer<typeof epochRecord>;
/** State of a run: how far it is, its best epoch, its history. */
export type RunState = z.infer<typeof runState>;

export const checkpointFolder = (folder: string) => join(folder, 'checkpoints');
export const lastCheckpoint = (folder: string) => join(checkpointFolder(folder), 'last.safetensors');
export const bestCheckpoint = (folder: string) => join(checkpointFolder(folder), 'best.safetensors');
/** The new best checkpoint until the last checkpoint names it; then it takes the place of the one before. */
export const nextBestCheckpoint = (folder: string) => join(checkpointFolder(folder), 'next-best.safetensors');
/** The copy of a checkpoint's state for people. */
export const stateFile = (checkpoint: string) => checkpoint.replace(/\.safetensors$/, '.json');

/** Tensors to be written, with their digest. */
export interface CheckpointTensors {
  tensors: Map<string, StoredTensor>;
  sha256: string;
  /** Name of the optimizer whose state is among the tensors. */
  optimizer?: string;
}

/** Copies the weights; with an optimizer also the optimizer's state, averages and loss scale. */
export async function tensorsOf(from: {
  parameters: Parameters;
  optimizer?: Optimizer;
}): Promise<CheckpointTensors> {
  const { parameters, optimizer } = from;
  const tensors: Map<string, StoredTensor> = await exportTensors(parameters);
  for (const { name, variable, layout } of optimizer ? kept(optimizer, parameters) : [])
    tensors.set(name, await storedOf(variable, layout));
  return { tensors, sha256: digestOfTensors(tensors), ...(optimizer && { optimizer: optimizer.name }) };
}

/** Writes a checkpoint whose metadata has the state, and digests of tensors and metadata. Equal arguments give equal bytes. */
export async function writeCheckpoint(
  path: string,
  { tensors, sha256, optimizer }: CheckpointTensors,
  { state, metadata }: { state: unknown; metadata: Metadata },
) {
  const complete = { ...metadata, ...(optimizer && { optimizer }), state: JSON.stringify(state) };
  await writeSafetensors(path, tensors, withDigests(complete, sha256));
}

/** Prefixes of tensor names. The prefix of the optimizer's own state is the optimizer's name. */
const AVERAGE = 'average.';
const LOSS_SCALE = 'loss_scale.';

/** All variables of the optimizer under their names in the file. */
function kept(
  { name: optimizer, slots, averages, lossScale }: Optimizer,
  { byName }: Parameters,
): { name: string; variable: Variable; layout: Layout }[] {
  const layoutOf = (name: string) => byName.get(name)!.layout;
  const states = [...slots].flatMap(([name, { state }]) =>
    Object.entries(state).map(([which, variable]) => ({
      name: `${optimizer}.${which}.${name}`,
      variable,
      layout: layoutOf(name),
    })),
  );
  const means = [...averages].map(([name, { average: variable }]) => ({
    name: `${AVERAGE}${name}`,
    variable,
    layout: layoutOf(name),
  }));
  const scale = Object.entries(lossScale?.variables ?? {}).map(([name, variable]) => ({
    name: `${LOSS_SCALE}${name}`,
    variable,
    layout: 'vector' as const,
  }));
  return [...states, ...means, ...scale];
}

/** A checkpoint as read from its file, checked against its digests and its training. */
export interface Checkpoint<State> {
  file: string;
  state: State;
  tensors: Map<string, StoredTensor>;
  metadata: Metadata;
  /** Digest of the tensors. */
  sha256: string;
  /** Whether the file has digests. Files of earlier versions have none. */
  hasDigests: boolean;
}

/** What a checkpoint must be. */
export interface CheckpointKind<State> {
  schema: z.ZodType<State>;
  /** Metadata that tells the trainings apart: member, architecture, seed, classes. */
  identity: Metadata;
  /** What to do about a file that does not fit; default: train anew. */
  remedy?: string;
}

/** What to do about a checkpoint that cannot be used. */
export const trainAnew = (checkpoint: string) =>
  `delete the folder ${dirname(checkpoint)} to train anew from the first epoch, or restore the file from a copy`;

/**
 * Reads a checkpoint; undefined if there is none. The identity is not compared in fields that the file lacks if it is of an
 * earlier version.
 *
 * @throws {UserError} if the file is not a checkpoint, was changed after it was written, or belongs to another training; the
 * message names the field, what was expected and what was found.
 */
export async function readCheckpoint<State>(
  file: string,
  { schema, identity, remedy = trainAnew(file) }: CheckpointKind<State>,
): Promise<Checkpoint<State> | undefined> {
  if (!existsSync(file)) return undefined;
  const { tensors, metadata } = await readSafetensors(file, { remedy });
  const state = schema.safeParse(parsed(metadata['state']));
  if (!state.success) {
    throw new UserError('is not a checkpoint of this program: its metadata has no valid "state"', {
      file,
      remedy,
    });
  }
  const isNew = hasDigests(metadata);
  for (const [field, expected] of Object.entries(identity)) {
    const found = metadata[field];
    if (found === expected || (found === undefined && !isNew)) continue;
    throw new UserError(
      `belongs to another training: ${field} is ${found ?? 'absent'}, expected ${expected}`,
      {
        file,
        remedy,
      },
    );
  }
  return { file, state: state.data, tensors, metadata, sha256: digestOfTensors(tensors), hasDigests: isNew };
}

/**
 * Sets the weights, and with an optimizer its state, averages and loss scale, from a checkpoint.
 *
 * @throws {UserError} if the tensors do not fit the network and the optimizer.
 */
export function restoreCheckpoint(
  { file, metadata, ...checkpoint }: Checkpoint<unknown>,
  into: { parameters: Parameters; optimizer?: Optimizer },
) {
  const prefixes = [`${metadata['optimizer'] ?? 'adam'}.`, AVERAGE, LOSS_SCALE];
  const isWeight = (name: string) =>
    into.parameters.byName.has(name) || !prefixes.some((prefix) => name.startsWith(prefix));
  const weights = new Map([...checkpoint.tensors].filter(([name]) => isWeight(name)));
  importTensors(into.parameters, weights, file);
  for (const { name, variable, layout } of into.optimizer ? kept(into.optimizer, into.parameters) : []) {
    const stored = weights.has(name) ? undefined : checkpoint.tensors.get(name);
    const shape = variable.rank === 0 ? [] : pytorchShape(variable.shape, layout);
    if (stored?.dtype !== 'F32' || String(stored.shape) !== String(shape)) {
      throw new UserError(`has no optimizer state ${name}`, { file, remedy: trainAnew(file) });
    }
    const values = valuesOf(stored as StoredTensorOf<'F32'>, layout);
    variable.assign(values);
    values.dispose();
  }
}

async function storedOf(variable: Variable, layout: Layout): Promise<StoredTensor> {
  if (variable.rank > 0) return toPyTorch(variable, layout);
  return { dtype: 'F32', shape: [], data: Float32Array.from(await variable.data()) };
}

/** Scalars are not transposed. */
function valuesOf(stored: StoredTensorOf<'F32'>, layout: Layout): Tensor {
  return stored.shape.length === 0 ? tf.scalar(stored.data[0]!) : fromPyTorch(stored, layout);
}

function parsed(json: string | undefined): unknown {
  try {
    return JSON.parse(json ?? 'null');
  } catch {
    return null;
  }
}
