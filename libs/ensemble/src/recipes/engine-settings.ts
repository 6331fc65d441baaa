// How a run computes, from the recipe or the command line: the engine's switches, which may change between two starts of a
// run, and the precision of training, which may not.
import { fields, UserError } from '@ct-ensemble/core';
import type { Device, EngineKind, EngineOptions, Precision } from '@ct-ensemble/engine';
import { z } from 'zod';
import type { Recipe } from './schema.ts';

const { flag, mapping } = fields;
const sizeRule = 'must be a size such as 8GiB or 500MiB';
const size = /^(\d+(?:\.\d+)?)\s*(MiB|GiB|MB|GB)$/;
const units: Record<string, number> = { MiB: 2 ** 20, GiB: 2 ** 30, MB: 1e6, GB: 1e9 };

/** `engine` in a recipe. */
export const engineSettingsSchema = mapping({
  tf32: flag
    .optional()
    .describe(
      'TensorFloat-32 on GPUs: faster, with 10 bits of mantissa. Without effect on CPUs. Default false.',
    ),
  deterministic: flag
    .optional()
    .describe('Equal bytes in every run on a GPU, somewhat slower; CPUs always give them. Default false.'),
  memoryLimit: z
    .string(sizeRule)
    .regex(size, sizeRule)
    .optional()
    .describe("Of each GPU's memory, what a member may take for tensors: 8GiB. Default: what it needs."),
}).describe('How the engine computes; may change when a run is continued.');

export type EngineSettings = z.infer<typeof engineSettingsSchema>;

/** What the command line can set in a recipe. */
export interface RecipeOverrides {
  /** No member starts from published weights. */
  fromScratch?: boolean | undefined;
  precision?: Precision | undefined;
  tf32?: boolean | undefined;
  deterministic?: boolean | undefined;
  memoryLimit?: string | undefined;
}

/**
 * The recipe with what was given on the command line.
 *
 * @throws {UserError} for a memory limit that is no size
 */
export function withOverrides(recipe: Recipe, overrides: RecipeOverrides): Recipe {
  const { fromScratch = false, precision, tf32, deterministic, memoryLimit } = overrides;
  if (memoryLimit !== undefined && !size.test(memoryLimit))
    throw new UserError(`--memory-limit: "${memoryLimit}" ${sizeRule}`);
  const given = Object.entries({ tf32, deterministic, memoryLimit }).filter(
    ([, value]) => value !== undefined,
  );
  return {
    ...recipe,
    ...(fromScratch && { members: recipe.members.map((member) => ({ ...member, pretrained: false })) }),
    ...(precision !== undefined && { training: { ...recipe.training, precision } }),
    ...(given.length > 0 && { engine: { ...recipe.engine, ...Object.fromEntries(given) } }),
  };
}

/** Bytes of a size such as 8GiB. */
export function bytesOf(text: string): number {
  const [, number, unit] = size.exec(text)!;
  return Math.floor(Number(number) * units[unit!]!);
}

/** What `openEngine` takes for a member's device under these settings. */
export function engineOptionsOf(device: Device, settings: EngineSettings = {}): EngineOptions {
  const { tf32, deterministic, memoryLimit } = settings;
  const isLimited = memoryLimit !== undefined && device.kind === 'gpu';
  return {
    device: isLimited ? { ...device, memoryLimit: bytesOf(memoryLimit) } : device,
    ...(tf32 !== undefined && { tf32 }),
    ...(deterministic !== undefined && { deterministic }),
  };
}

/** @throws {UserError} for float16 on a CPU, where the pass of TensorFlow 2.21 that casts to it aborts the process. */
export function requireFloat16({ training }: Recipe, devices: readonly Device[], engine: EngineKind) {
  const isOnCpu = engine === 'tensorflow' && devices.some(({ kind }) => kind === 'cpu');
  if (training.precision !== 'mixed-float16' || !isOnCpu) return;
  throw new UserError('the precision mixed-float16 is for GPUs, and a device of this run is a CPU', {
    remedy: 'set the precision to mixed or float32, or train on GPUs',
  });
}

/** @throws {UserError} for a memory limit where no member trains on a GPU. */
export function requireLimitable({ memoryLimit }: EngineSettings = {}, devices: readonly Device[]) {
  if (memoryLimit === undefined || devices.some(({ kind }) => kind === 'gpu')) return;
  throw new UserError(`the memory limit of ${memoryLimit} is for GPUs, and no device of this run is one`, {
    remedy: 'leave out --memory-limit, and engine.memoryLimit in the recipe, or train on a GPU',
  });
}
