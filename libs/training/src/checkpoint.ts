// Checkpoints: everything a run needs to go on, in one safetensors file, with a JSON copy of its state for a reader.
import { UserError, writeJson } from '@ct-ensemble/core';
import {
  exportTensors,
  fromPyTorch,
  importTensors,
  type Metadata,
  type Parameters,
  pytorchShape,
  readSafetensors,
  type StoredTensor,
  type StoredTensorOf,
  toPyTorch,
  writeSafetensors,
} from '@ct-ensemble/models';
import type { Adam } from '@ct-ensemble/engine';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';

const epochRecord = z.object({
  epoch: z.int(),
  learningRate: z.number(),
  /** Mean of the steps' losses. */
  loss: z.number(),
  /** On the validation scans; null when there are none. */
  macroF1: z.number().nullable(),
  seconds: z.number(),
  /** Of these, seconds in which a step waited for its volumes to be read; older runs do not know. */
  waited: z.number().optional(),
});
const runState = z.object({
  /** Epochs that are done. */
  epochs: z.int(),
  /** Optimizer steps that are done. */
  steps: z.int(),
  best: z.object({ epoch: z.int(), macroF1: z.number().nullable() }).nullable(),
  history: z.array(epochRecord),
});

/** One epoch of a member's history. Epochs count from 0. */
export type EpochRecord = z.infer<typeof epochRecord>;
/** Where a run stands. */
export type RunState = z.infer<typeof runState>;

export const freshState = (): RunState => ({ epochs: 0, steps: 0, best: null, history: [] });

export const lastCheckpoint = (folder: string) => join(folder, 'checkpoints', 'last.safetensors');
export const bestCheckpoint = (folder: string) => join(folder, 'checkpoints', 'best.safetensors');

/** Writes weights and state, and the optimizer's moments where given. */
export async function saveCheckpoint(
  path: string,
  content: { parameters: Parameters; optimizer?: Adam; state: unknown; about?: Metadata },
) {
  const tensors: Map<string, StoredTensor> = await exportTensors(content.parameters);
  for (const [name, { first, second }] of content.optimizer?.slots ?? []) {
    const { layout } = content.parameters.byName.get(name)!;
    tensors.set(`adam.exp_avg.${name}`, await toPyTorch(first, layout));
    tensors.set(`adam.exp_avg_sq.${name}`, await toPyTorch(second, layout));
  }
  await writeSafetensors(path, tensors, {
    ...content.about,
    state: JSON.stringify(content.state),
  });
  await writeJson(path.replace(/\.safetensors$/, '.json'), content.state);
}

/** Loads a member's checkpoint; undefined when there is none. */
export function loadCheckpoint(
  path: string,
  into: { parameters: Parameters; optimizer?: Adam },
): Promise<RunState | undefined> {
  return loadCheckpointOf(runState, path, into);
}

/** Loads a checkpoint whose state is as the schema says; undefined when there is none. */
export async function loadCheckpointOf<State>(
  schema: z.ZodType<State>,
  path: string,
  into: { parameters: Parameters; optimizer?: Adam },
): Promise<State | undefined> {
  if (!existsSync(path)) return undefined;
  const { tensors, metadata } = await readSafetensors(path);
  const state = schema.safeParse(parsed(metadata['state']));
  if (!state.success) {
    throw new UserError('is not a checkpoint of this program: its metadata has no valid "state"', {
      file: path,
      remedy: 'delete the file to start anew',
    });
  }
  const moments = new Map<string, StoredTensor>();
  for (const name of [...tensors.keys()].filter((key) => key.startsWith('adam.'))) {
    moments.set(name, tensors.get(name)!);
    tensors.delete(name);
  }
  importTensors(into.parameters, tensors, path);
  for (const [name, { first, second }] of into.optimizer?.slots ?? []) {
    for (const [kind, variable] of [
      ['exp_avg', first],
      ['exp_avg_sq', second],
    ] as const) {
      const stored = moments.get(`adam.${kind}.${name}`);
      const { layout } = into.parameters.byName.get(name)!;
      if (stored?.dtype !== 'F32' || String(stored.shape) !== String(pytorchShape(variable.shape, layout))) {
        throw new UserError(`has no optimizer state adam.${kind}.${name}`, {
          file: path,
          remedy: 'delete the file to start anew',
        });
      }
      const values = fromPyTorch(stored as StoredTensorOf<'F32'>, layout);
      variable.assign(values);
      values.dispose();
    }
  }
  return state.data;
}

function parsed(json: string | undefined): unknown {
  try {
    return JSON.parse(json ?? 'null');
  } catch {
    return null;
  }
}
