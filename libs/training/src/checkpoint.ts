// Checkpoints: one safetensors file with everything that resuming a run needs, bound by digests to its training.
import { MAX_BYTES, messageOf, readRegularFile, UserError } from '@ct-ensemble/core';
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
  tfjsAxes,
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
/** The new last checkpoint until it is complete; then it takes the place of the one before. */
export const nextLastCheckpoint = (folder: string) => join(checkpointFolder(folder), 'next-last.safetensors');
/** The checkpoint before the last one, in case the last one is damaged. */
export const previousCheckpoint = (folder: string) => join(checkpointFolder(folder), 'previous.safetensors');
/** The best checkpoint that the previous checkpoint names, if the last one names another. */
export const previousBestCheckpoint = (folder: string) =>
  join(checkpointFolder(folder), 'previous-best.safetensors');
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

/** Values whose axes are still in tfjs's order. */
export interface Untransposed {
  data: Float32Array;
  /** tfjs's shape. */
  shape: readonly number[];
  /** For each axis of the tensor's shape in the file, in order, the corresponding axis here. */
  axes: readonly number[];
}

/**
 * What `tensorsOf` copies, but as fast as possible: nothing is digested, and the values of the tensors in `untransposed` are
 * still in tfjs's order. They must be transposed in place before the tensors are used.
 *
 * @param space gives the array that a tensor's values are copied to
 */
export async function copyTensors(
  { parameters, optimizer }: { parameters: Parameters; optimizer: Optimizer },
  space: (name: string, length: number) => Float32Array,
): Promise<{ tensors: Map<string, StoredTensor>; untransposed: Untransposed[] }> {
  const tensors = new Map<string, StoredTensor>();
  const untransposed: Untransposed[] = [];
  for (const { name, variable, layout } of [...parameters.byName.values(), ...kept(optimizer, parameters)]) {
    const data = space(name, variable.size);
    data.set(await variable.data<'float32'>());
    const shape = variable.rank === 0 ? [] : pytorchShape(variable.shape, layout);
    tensors.set(name, { dtype: 'F32', shape, data: data as StoredTensorOf<'F32'>['data'] });
    if (variable.rank > 1) untransposed.push({ data, shape: variable.shape, axes: tfjsAxes(layout) });
  }
  for (const [name, count] of parameters.counters)
    tensors.set(name, { dtype: 'I64', shape: [], data: BigInt64Array.of(count) });
  return { tensors, untransposed };
}

/** How far an epoch is, at the end of one of its steps. */
const insideEpoch = z.object({
  /** Number of finished steps of the epoch. */
  steps: z.int().positive(),
  /** Number of scans of a step. */
  batchSize: z.int().positive(),
  /** Sum of the losses of these steps' samples. */
  lossSum: z.number(),
  /** Seconds that these steps took, and part of them: how long they waited for samples to be read. */
  seconds: z.number(),
  waited: z.number(),
});
export type InsideEpoch = z.infer<typeof insideEpoch>;

/** What a checkpoint's metadata says of the run. */
export interface CheckpointState {
  state: unknown;
  /** If the checkpoint was written inside an epoch: how far the epoch is. */
  inside?: InsideEpoch | undefined;
  metadata: Metadata;
}

/**
 * Metadata field of the state in a checkpoint inside an epoch. It is another than that of the other checkpoints, so that
 * versions of this program that know only epochs refuse the file instead of taking it for the end of an epoch.
 */
export const INSIDE = 'state_inside_epoch';

/** The metadata of a checkpoint: the state, and digests of tensors and metadata. */
export function metadataOf(
  { sha256, optimizer }: Pick<CheckpointTensors, 'sha256' | 'optimizer'>,
  { state, inside, metadata }: CheckpointState,
): Metadata {
  const field = inside === undefined ? 'state' : INSIDE;
  const content = JSON.stringify(withInside({ state, inside }));
  return withDigests({ ...metadata, ...(optimizer && { optimizer }), [field]: content }, sha256);
}

/** Writes a checkpoint whose metadata has the state, and digests of tensors and metadata. Equal arguments give equal bytes. */
export async function writeCheckpoint(path: string, content: CheckpointTensors, state: CheckpointState) {
  await writeSafetensors(path, content.tensors, metadataOf(content, state));
}

/** The state as one object, as the metadata and the copy for people have it. */
export const withInside = ({ state, inside }: Pick<CheckpointState, 'state' | 'inside'>) =>
  inside === undefined ? state : { ...(state as object), insideEpoch: inside };

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
  /** How far the epoch after the finished ones is; undefined if the checkpoint was written at the end of an epoch. */
  inside: InsideEpoch | undefined;
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

/** A checkpoint whose bytes are not those that were written. */
export class DamagedCheckpoint extends UserError {}

/** What to do about a checkpoint that cannot be used. */
export const trainAnew = (checkpoint: string) =>
  `delete the folder ${dirname(checkpoint)} to train anew from the first epoch, or restore the file from a copy`;

/**
 * Reads a checkpoint; undefined if there is none. The identity is not compared in fields that the file lacks if it is of an
 * earlier version.
 *
 * @throws {DamagedCheckpoint} if the file is truncated or was changed after it was written
 * @throws {UserError} if the file cannot be read, is not a checkpoint, or belongs to another training; the message names the
 * field, what was expected and what was found.
 */
export async function readCheckpoint<State>(
  file: string,
  { schema, identity, remedy = trainAnew(file) }: CheckpointKind<State>,
): Promise<Checkpoint<State> | undefined> {
  if (!existsSync(file)) return undefined;
  const { tensors, metadata } = await readTensors(file, remedy);
  const found = parsed(metadata['state'] ?? metadata[INSIDE]);
  const state = schema.safeParse(found);
  const inside = insideField.safeParse(found);
  if (!state.success || !inside.success) {
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
  return {
    file,
    state: state.data,
    inside: inside.data.insideEpoch,
    tensors,
    metadata,
    sha256: digestOfTensors(tensors),
    hasDigests: isNew,
  };
}

const insideField = z.looseObject({ insideEpoch: insideEpoch.optional() });

async function readTensors(file: string, remedy: string) {
  const bytes = await readRegularFile(file, { maxBytes: MAX_BYTES.weights }).catch((error: unknown) => {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot be read (${messageOf(error)})`, { file, remedy, cause: error });
  });
  try {
    return await readSafetensors(bytes, { remedy });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    throw new DamagedCheckpoint(error.problem, { file, remedy, cause: error });
  }
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
