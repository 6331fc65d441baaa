// Checkpoints: one safetensors file with everything that resuming a run needs, and a JSON copy of the state for people.
import { UserError, writeJson } from '@ct-ensemble/core';
import {
  exportTensors,
  fromPyTorch,
  importTensors,
  type Layout,
  type Metadata,
  type Parameters,
  pytorchShape,
  readSafetensors,
  type StoredTensor,
  type StoredTensorOf,
  toPyTorch,
  writeSafetensors,
} from '@ct-ensemble/models';
import type { Optimizer } from '@ct-ensemble/engine';
import tf, { type Tensor, type Variable } from '@tensorflow/tfjs';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const epochRecord = z.object({
  epoch: z.int(),
  learningRate: z.number(),
  /** Mean of the steps' losses. */
  loss: z.number(),
  /** Macro F1 on the validation scans; null if there are none. */
  macroF1: z.number().nullable(),
  seconds: z.number(),
  /** Part of `seconds`: how long steps waited for volumes to be read. Absent in checkpoints of older versions. */
  waited: z.number().optional(),
});
export const runState = z.object({
  /** Number of finished epochs. */
  epochs: z.int(),
  /** Number of finished optimizer steps. */
  steps: z.int(),
  best: z.object({ epoch: z.int(), macroF1: z.number().nullable() }).nullable(),
  history: z.array(epochRecord),
});

/** One epoch of a member's history. Epochs count from 0. */
export type EpochRecord = z.infer<typeof epochRecord>;
/** State of a run: how far it is, its best epoch, its history. */
export type RunState = z.infer<typeof runState>;

export const lastCheckpoint = (folder: string) => join(folder, 'checkpoints', 'last.safetensors');
export const bestCheckpoint = (folder: string) => join(folder, 'checkpoints', 'best.safetensors');

/** Writes the weights and the run's state; with an optimizer also the optimizer's state, averages and loss scale. */
export async function saveCheckpoint(
  path: string,
  content: { parameters: Parameters; optimizer?: Optimizer; state: unknown; about?: Metadata },
) {
  const { parameters, optimizer } = content;
  const tensors: Map<string, StoredTensor> = await exportTensors(parameters);
  for (const { name, variable, layout } of optimizer ? kept(optimizer, parameters) : [])
    tensors.set(name, await storedOf(variable, layout));
  await writeSafetensors(path, tensors, {
    ...content.about,
    ...(optimizer && { optimizer: optimizer.name }),
    state: JSON.stringify(content.state),
  });
  await writeJson(path.replace(/\.safetensors$/, '.json'), content.state);
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

/** Loads a member's checkpoint; undefined if there is none. Throws as `loadCheckpointOf`. */
export function loadCheckpoint(
  path: string,
  into: { parameters: Parameters; optimizer?: Optimizer },
): Promise<RunState | undefined> {
  return loadCheckpointOf(runState, path, into);
}

/**
 * Loads a checkpoint whose state has this schema; undefined if there is none.
 *
 * @throws {UserError} if the file is not a checkpoint, or its tensors do not fit the network and the optimizer.
 */
export async function loadCheckpointOf<State>(
  schema: z.ZodType<State>,
  path: string,
  into: { parameters: Parameters; optimizer?: Optimizer },
): Promise<State | undefined> {
  if (!existsSync(path)) return undefined;
  const { tensors, metadata } = await readSafetensors(path);
  const state = schema.safeParse(parsed(metadata['state']));
  if (!state.success) {
    throw new UserError('is not a checkpoint of this program: its metadata has no valid "state"', {
      file: path,
      remedy: 'delete the file to start this member from its first epoch',
    });
  }
  const prefixes = [`${metadata['optimizer'] ?? 'adam'}.`, AVERAGE, LOSS_SCALE];
  const others = new Map<string, StoredTensor>();
  for (const name of [...tensors.keys()]) {
    if (into.parameters.byName.has(name) || !prefixes.some((prefix) => name.startsWith(prefix))) continue;
    others.set(name, tensors.get(name)!);
    tensors.delete(name);
  }
  importTensors(into.parameters, tensors, path);
  for (const { name, variable, layout } of into.optimizer ? kept(into.optimizer, into.parameters) : []) {
    const stored = others.get(name);
    const shape = variable.rank === 0 ? [] : pytorchShape(variable.shape, layout);
    if (stored?.dtype !== 'F32' || String(stored.shape) !== String(shape)) {
      throw new UserError(`has no optimizer state ${name}`, {
        file: path,
        remedy: 'delete the file to start this member from its first epoch',
      });
    }
    const values = valuesOf(stored as StoredTensorOf<'F32'>, layout);
    variable.assign(values);
    values.dispose();
  }
  return state.data;
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
