// Whether this machine has GPUs that the TensorFlow found here could use, told without loading TensorFlow.
import { readdirSync } from 'node:fs';
import { findTensorFlow, hasCuda } from '../library/library.ts';

/**
 * How many GPUs a device list `auto` may count on: those of NVIDIA's driver (Linux), as far as CUDA_VISIBLE_DEVICES
 * shows them, if the CUDA libraries lie beside TensorFlow as `pip install tensorflow[and-cuda]` puts them; else 0.
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
