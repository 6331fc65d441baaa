// Counts the GPUs that the installed TensorFlow could use, without loading TensorFlow.
import { readdirSync } from 'node:fs';
import { findTensorFlow, hasCuda } from '../library/library.ts';

/**
 * Number of usable GPUs, for the device list `auto`: the GPUs of NVIDIA's driver (Linux) that CUDA_VISIBLE_DEVICES
 * allows; 0 without the CUDA libraries beside TensorFlow, where `pip install tensorflow[and-cuda]` puts them.
 */
export function usableGpus(): number {
  const library = findTensorFlow();
  if (library === null || !hasCuda(library)) return 0;
  const visible = process.env['CUDA_VISIBLE_DEVICES'];
  if (visible !== undefined)
    return visible.split(',').filter((id) => id.trim() !== '' && id.trim() !== '-1').length;
  try {
    return readdirSync('/proc/driver/nvidia/gpus').length;
  } catch {
    return 0;
  }
}
