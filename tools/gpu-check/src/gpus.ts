// Lists the GPUs of this machine as NVIDIA's driver reports them.
import { spawnSync } from 'node:child_process';
import { UserError } from '@ct-ensemble/core';

export interface Gpu {
  name: string;
  /** As nvidia-smi prints it, for example `81920 MiB`. */
  memory: string;
  driver: string;
}

const remedy = "run this where `nvidia-smi` lists a GPU; in a container, start it with the machine's GPUs";

/** The GPUs that TensorFlow can see. @throws {UserError} if there is no driver or no GPU, or if all GPUs are hidden. */
export function gpusHere(): Gpu[] {
  const query = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader'];
  const { status, stdout, stderr, error } = spawnSync('nvidia-smi', query, {
    encoding: 'utf8',
    timeout: 60_000,
  });
  if (error) throw new UserError('no NVIDIA GPU: there is no nvidia-smi', { remedy });
  if (status !== 0) {
    const answer = (stderr || stdout).trim().split('\n')[0];
    throw new UserError(`no NVIDIA GPU: nvidia-smi reports "${answer}"`, { remedy });
  }
  const gpus = stdout
    .split('\n')
    .map((line) => line.split(',').map((field) => field.trim()))
    .filter((fields) => fields.length === 3)
    .map(([name = '', memory = '', driver = '']) => ({ name, memory, driver }));
  if (gpus.length === 0) throw new UserError('no NVIDIA GPU: nvidia-smi lists none', { remedy });
  return visible(gpus);
}

/** The GPUs that CUDA_VISIBLE_DEVICES leaves visible. An id that is not a number (a UUID) counts as the GPU at its position. */
function visible(gpus: Gpu[]): Gpu[] {
  const ids = process.env['CUDA_VISIBLE_DEVICES']?.split(',').map((id) => id.trim());
  if (ids === undefined) return gpus;
  const shown = ids
    .filter((id) => id !== '' && id !== '-1')
    .flatMap((id, i) => (/^\d+$/.test(id) ? gpus.slice(Number(id), Number(id) + 1) : gpus.slice(i, i + 1)));
  if (shown.length > 0) return shown;
  throw new UserError(`no NVIDIA GPU: CUDA_VISIBLE_DEVICES=${ids.join(',')} hides them`, {
    remedy: 'unset it',
  });
}
