// Chooses the floating point type in which a captured step computes.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Context } from '../devices/context.ts';

/**
 * - `float32`: everything in float32.
 * - `mixed`: convolutions and matrix products in 16 bits if the device supports it: bfloat16, or float16 on GPUs before
 *   Ampere, which needs a scaled loss (`createLossScale`). Variables, loss, statistics and optimizer stay float32.
 * - `mixed-float16`: as `mixed`, but float16 on every device.
 */
export type Precision = 'float32' | 'mixed' | 'mixed-float16';

export interface PrecisionChoice {
  /** Type in which convolutions and matrix products are computed. */
  compute: 'float32' | 'bfloat16' | 'float16';
  /** Human-readable reason, one phrase. */
  why: string;
}

export function choosePrecision(precision: Precision, context: Context): PrecisionChoice {
  if (precision === 'float32') return { compute: 'float32', why: 'asked for' };
  if (precision === 'mixed-float16') return { compute: 'float16', why: 'asked for' };
  return context.device.includes(':GPU:') ? onGpu(Number(context.device.split(':').at(-1))) : onCpu();
}

const cpuFeatures = ['avx512_bf16', 'amx_bf16', 'avx_ne_convert', 'bf16'];

function onCpu(): PrecisionChoice {
  const flags = new Set(/^(?:flags|Features)\s*:(.*)$/m.exec(readCpuInfo())?.[1]?.trim().split(/\s+/));
  const feature = cpuFeatures.find((name) => flags.has(name));
  return feature === undefined
    ? { compute: 'float32', why: `this CPU has none of ${cpuFeatures.join(', ')}` }
    : { compute: 'bfloat16', why: `this CPU has ${feature}` };
}

function readCpuInfo(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return '';
  }
}

function onGpu(index: number): PrecisionChoice {
  const query = ['--query-gpu=compute_cap', '--format=csv,noheader', `--id=${index}`];
  const answer = spawnSync('nvidia-smi', query, { encoding: 'utf8', timeout: 10_000 });
  const capability = Number.parseFloat(answer.stdout ?? '');
  if (Number.isNaN(capability))
    return { compute: 'float32', why: 'nvidia-smi reports no compute capability' };
  const which = `GPU ${index} has compute capability ${capability.toFixed(1)}`;
  if (capability >= 8) return { compute: 'bfloat16', why: which };
  return capability >= 7
    ? { compute: 'float16', why: `${which}; bfloat16 needs 8.0 (Ampere)` }
    : { compute: 'float32', why: `${which}; float16 is fast from 7.0 (Volta) on` };
}

/**
 * A serialised ConfigProto with graph_options.rewrite_options for grappler, which optimises a function only if it has
 * one. Enables fusion of ops if `fuses`, and the pass that casts to 16 bits; there is no such pass for bfloat16 on
 * GPUs.
 */
export function grapplerOptions(
  compute: PrecisionChoice['compute'],
  { onGpu, fuses }: { onGpu: boolean; fuses: boolean },
): Uint8Array {
  const [ON, OFF] = [1, 2];
  const fusions = [0x70, fuses ? ON : OFF]; // field 14: remapping
  const renames = [0x38, OFF]; // 7: arithmetic_optimization gains nothing here and drops the op names used in error messages
  const casts = {
    float32: [],
    bfloat16: onGpu ? [] : [0xf8, 0x01, ON], // 31: auto_mixed_precision_onednn_bfloat16
    float16: onGpu ? [0xb8, 0x01, ON] : [0xe8, 0x01, ON], // 23: auto_mixed_precision, 29: auto_mixed_precision_cpu
  }[compute];
  const rewriting = [...fusions, ...renames, ...casts];
  return Uint8Array.of(0x52, rewriting.length + 2, 0x52, rewriting.length, ...rewriting);
}

/** Ops around which the trace inserts casts to bfloat16 on GPUs. */
export const BFLOAT16_OPS: ReadonlySet<string> = new Set([
  'Conv2D',
  'Conv2DBackpropInput',
  'Conv2DBackpropFilter',
  'MatMul',
  'BatchMatMulV2',
]);
