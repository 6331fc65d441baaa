// Counts the GPUs that the installed TensorFlow could use, without loading TensorFlow.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { findTensorFlow, hasCuda } from '../library/library.ts';

/** Number of usable GPUs, for the device list `auto`; 0 without the CUDA libraries beside TensorFlow. See `visibleGpus`. */
export function usableGpus(): number {
  const library = findTensorFlow();
  return library === null || !hasCuda(library) ? 0 : visibleGpus();
}

export interface GpuPlaces {
  /** Value of CUDA_VISIBLE_DEVICES. */
  visible?: string | undefined;
  /** Folder that holds `proc` and `dev`. */
  root?: string;
}

/**
 * Number of GPUs of NVIDIA's driver (Linux) that this process may use: those that have a device file, which containers give
 * to a part of the GPUs, and that CUDA_VISIBLE_DEVICES names. CUDA reads the variable up to the first entry that names no GPU.
 * Entries such as `GPU-8932f937` or `MIG-…` are counted without being checked; a process sees one MIG device at most.
 */
export function visibleGpus({
  visible = process.env['CUDA_VISIBLE_DEVICES'],
  root = '/',
}: GpuPlaces = {}): number {
  const entries = (folder: string) => {
    try {
      return readdirSync(join(root, folder));
    } catch {
      return [];
    }
  };
  const files = entries('dev').filter((name) => /^nvidia\d+$/.test(name)).length;
  const known = entries('proc/driver/nvidia/gpus').length;
  const present = files > 0 && known > 0 ? Math.min(files, known) : known;
  if (visible === undefined) return present;
  const ids = visible.split(',').map((id) => id.trim());
  const isGpu = (id: string) => /^(GPU|MIG)-/.test(id) || (/^\d+$/.test(id) && (present === 0 || Number(id) < present)); // prettier-ignore
  const end = ids.findIndex((id) => !isGpu(id));
  const named = end < 0 ? ids : ids.slice(0, end);
  if (named[0]?.startsWith('MIG-')) return 1;
  return new Set(named).size;
}
