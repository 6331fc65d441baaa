// How the engines of one process share its GPUs: all on whole GPUs, or each on a share of its own with a memory limit.
import type { Device, DeviceInfo } from './device.ts';
import { EngineError } from '../errors.ts';
import { agreeOn, Place, processState } from '../native/process-state.ts';

/** The GPU of one engine. */
export interface GpuPlace {
  /** TensorFlow's number of the device: with shares, every share is a device. */
  index: number;
  /** MiB of each share of each GPU; undefined for whole GPUs. */
  shares?: number[][];
  /** Gives the share back. */
  release(): void;
}

const MIB = 2 ** 20;
const WHOLE = -1;

/**
 * Takes a GPU, or a share of one. TensorFlow's tables of GPUs belong to the process, so that all engines of a process
 * must want the GPUs whole or in shares of one size:
 * - the number of a TensorFlow device stands for one physical GPU for good (`DeviceIdManager`, device_id_manager.cc: a
 *   context that maps it elsewhere is refused with ALREADY_EXISTS);
 * - its allocator and its stream are made once and serve every context (`GPUProcessState::GetGPUAllocator`,
 *   gpu_process_state.cc; `StreamGroupFactory`, gpu_device.cc): a second context's limit would not count.
 *
 * Engines on a whole GPU therefore share its memory and take turns on its one stream; a share (`virtual_devices` of
 * config.proto) has a limit and a stream of its own.
 *
 * @throws EngineError 'device' when another engine of the process divided the GPUs otherwise, or no share is left.
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
 * Counts the shares of `memoryLimit` bytes that the smallest GPU holds, the first time it is asked in this process.
 * @throws EngineError 'device' when there is no GPU, or the limit is more than a GPU has.
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

/** Where TensorFlow turned out to see no GPU, nothing is divided yet. */
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
  if (share >= 1 && share < 2 ** 24) return share; // TensorFlow keeps it as a float32
  throw new EngineError('device', `memoryLimit is ${memoryLimit}, and is a number of bytes`, {
    remedy: 'give 1 MiB (1048576) or more',
  });
}

function noGpu(index: number, gpus: number) {
  return `TensorFlow sees no GPU ${index}, only ${gpus}`;
}
