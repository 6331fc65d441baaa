// Division of GPUs among the engines of a process: either all use whole GPUs, or each has a share with a memory limit.
import type { Device, DeviceInfo } from './device.ts';
import { EngineError } from '../errors.ts';
import { agreeOn, Place, processState } from '../native/process-state.ts';

/** A GPU, or a share of one, that an engine holds. */
export interface GpuPlace {
  /** TensorFlow's number of the device; when GPUs are divided, every share is a device. */
  index: number;
  /** MiB of each share of each GPU; undefined for whole GPUs. */
  shares?: number[][];
  /** Makes the share available again. */
  release(): void;
}

const MIB = 2 ** 20;
const WHOLE = -1;

/**
 * Takes a GPU, or a share of one if the device has a memory limit. TensorFlow manages GPUs per process, so all engines
 * of a process must use whole GPUs, or shares of the same size:
 * - the number of a TensorFlow device is bound to one physical GPU permanently (`DeviceIdManager`,
 *   device_id_manager.cc: a context that maps it to another GPU fails with ALREADY_EXISTS);
 * - its allocator and stream are created once and used by every context (`GPUProcessState::GetGPUAllocator`,
 *   gpu_process_state.cc; `StreamGroupFactory`, gpu_device.cc), so the limit of a second context would be ignored.
 *
 * Engines on a whole GPU therefore share its memory and its one stream; a share (`virtual_devices` of config.proto)
 * has its own limit and stream.
 *
 * @throws EngineError 'device' if another engine of the process divided the GPUs differently, or no share is free.
 */
export function takeGpu({ index, memoryLimit }: Device): GpuPlace {
  const state = processState();
  const counts = Atomics.load(state, Place.GPU_COUNTS);
  agreeOnShare(memoryLimit);
  if (memoryLimit === undefined) return { index, release: () => undefined };
  const gpus = counts >>> 16;
  const each = counts & 0xffff;
  if (index >= gpus) throw new EngineError('device', noGpu(index, gpus), { remedy: GPU_REMEDY });
  for (let share = index * each; share < (index + 1) * each; share++) {
    const place = Place.FIRST_GPU_SHARE + share;
    if (Atomics.compareExchange(state, place, 0, 1) !== 0) continue;
    let taken = true;
    return {
      index: share,
      shares: Array.from({ length: gpus }, () => Array<number>(each).fill(mebibytes(memoryLimit))),
      release() {
        if (taken) Atomics.store(state, place, 0);
        taken = false;
      },
    };
  }
  throw new EngineError('device', `all ${each} shares of GPU ${index} are taken by open engines`, {
    remedy: 'close one, place fewer members on this GPU, or give all a smaller memoryLimit',
  });
}

/**
 * At the first call in a process: fixes how many shares of `memoryLimit` bytes every GPU gets, as many as fit the
 * smallest one. Does nothing for CPUs and without a limit.
 * @throws EngineError 'device' if there is no GPU, the limit exceeds a GPU's memory, or the process has another limit.
 */
export async function divideGpus(device: Device, list: () => Promise<readonly DeviceInfo[]>): Promise<void> {
  const limit = device.memoryLimit;
  if (limit === undefined || device.kind !== 'gpu') return;
  if (Atomics.load(processState(), Place.GPU_SHARE) !== 0) agreeOnShare(limit);
  if (Atomics.load(processState(), Place.GPU_COUNTS) !== 0) return;
  const share = mebibytes(limit);
  const gpus = (await list()).filter(({ kind }) => kind === 'gpu');
  if (gpus.length === 0) throw new EngineError('device', noGpu(device.index, 0), { remedy: GPU_REMEDY });
  const smallest = Math.min(...gpus.map(({ memory }) => memory ?? 0));
  const places = processState().length - Place.FIRST_GPU_SHARE;
  const each = Math.min(Math.floor(smallest / MIB / share), Math.floor(places / gpus.length));
  if (each === 0) {
    throw new EngineError(
      'device',
      `memoryLimit is ${share} MiB and the smallest GPU has ${Math.floor(smallest / MIB)} MiB free`,
      { remedy: 'give a smaller memoryLimit, or none' },
    );
  }
  agreeOnShare(limit);
  agreeOn(Place.GPU_COUNTS, gpus.length * 0x10000 + each);
}

/** Withdraws the decision for whole GPUs when TensorFlow turned out to see no GPU. */
export function forgetWholeGpus(): void {
  Atomics.compareExchange(processState(), Place.GPU_SHARE, WHOLE, 0);
}

export const GPU_REMEDY =
  'run `nx run engine:doctor`, which checks the driver and the CUDA libraries, or use a CPU';

function agreeOnShare(memoryLimit: number | undefined) {
  const wanted = memoryLimit === undefined ? WHOLE : mebibytes(memoryLimit);
  const held = agreeOn(Place.GPU_SHARE, wanted);
  if (held === wanted) return;
  const name = (share: number) => (share === WHOLE ? 'none' : `${share} MiB`);
  throw new EngineError(
    'device',
    `this process's GPUs were opened with memoryLimit ${name(held)}, and this engine asks for ${name(wanted)}`,
    { remedy: 'give the same memoryLimit to all engines of a process' },
  );
}

function mebibytes(memoryLimit: number): number {
  const share = Math.floor(memoryLimit / MIB);
  if (share >= 1 && share < 2 ** 24) return share; // TensorFlow stores it as a float32
  throw new EngineError('device', `memoryLimit is ${memoryLimit}, but must be a number of bytes`, {
    remedy: 'give 1 MiB (1048576) or more',
  });
}

function noGpu(index: number, gpus: number) {
  return `TensorFlow sees no GPU ${index}, only ${gpus}`;
}
