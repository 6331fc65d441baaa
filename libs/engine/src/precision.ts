// Which numbers a captured step computes with, and why.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Context } from './context.ts';

/**
 * `float32`: as written. `mixed`: convolutions and matrix products in bfloat16 where the device has it; variables,
 * the loss, statistics and the optimizer stay float32.
 */
export type Precision = 'float32' | 'mixed';

export interface PrecisionChoice {
  /** What convolutions and matrix products compute in. */
  compute: 'float32' | 'bfloat16';
  /** One phrase for a person. */
  why: string;
}

export function choosePrecision(precision: Precision, context: Context): PrecisionChoice {
  if (precision === 'float32') return { compute: 'float32', why: 'asked for' };
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
    return { compute: 'float32', why: 'nvidia-smi does not tell what the GPU is' };
  const which = `GPU ${index} has compute capability ${capability.toFixed(1)}`;
  return capability >= 8
    ? { compute: 'bfloat16', why: which }
    : { compute: 'float32', why: `${which}; bfloat16 needs 8.0 (Ampere)` };
}

/**
 * On a CPU grappler's own pass (auto_mixed_precision_onednn_bfloat16) casts: a ConfigProto with
 * graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = ON.
 */
export const BFLOAT16_PASS = Uint8Array.of(0x52, 0x05, 0x52, 0x03, 0xf8, 0x01, 0x01);

/** On a GPU, where that pass does not go, the trace casts around these. */
export const BFLOAT16_OPS: ReadonlySet<string> = new Set([
  'Conv2D',
  'Conv2DBackpropInput',
  'Conv2DBackpropFilter',
  'MatMul',
  'BatchMatMulV2',
]);
