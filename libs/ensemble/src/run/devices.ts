// The list of devices that members are trained on, as a person writes it: `gpu:0,gpu:1`, `cpu:2`, `auto`.
import { usableCores, usableMemory, UserError } from '@ct-ensemble/core';
import { type Device, type DeviceInfo, type EngineKind, listDevices, usableGpus } from '@ct-ensemble/engine';
import type { DeviceSlot } from './schedule.ts';

export interface Machine {
  /** CPU cores this process may use. */
  cores: number;
  /** GPUs that TensorFlow can use. */
  gpus: number;
  /** Each member has a process of its own, so numbers of threads may differ. Default: false. */
  processes?: boolean;
}

/**
 * This machine, as far as the engine can use it: CPU affinity, cpusets and CPU quotas of control groups limit the cores,
 * CUDA_VISIBLE_DEVICES and the device files of a container the GPUs. tfjs's CPU backend knows no GPU and asks for no native
 * library.
 */
export const thisMachine = (engine: EngineKind = 'tensorflow'): Machine => ({
  cores: usableCores(),
  gpus: engine === 'cpu' ? 0 : usableGpus(),
});

const remedy =
  "write 'auto', or a list such as 'gpu:0,gpu:1' (which GPU), 'gpu:0,gpu:0' (two members on one GPU) or 'cpu:2,cpu:2' (threads of each member)";

/**
 * One device for each member that trains at the same time.
 *
 * `gpu:I` is the I-th GPU of those that CUDA_VISIBLE_DEVICES leaves; named several times, as many members train on it at
 * once, see `divideGpuMemory`. `cpu:T` is the CPU with T threads; TensorFlow's threads belong to the process, so all
 * entries must name the same T unless each member has a process of its own. `auto` is every GPU, with one member each, or,
 * without a GPU, as many CPU devices as there are members or cores, whichever is less, that share the cores.
 *
 * @throws UserError that says how to write it.
 */
export function parseDevices(list: string, members: number, machine: Machine = thisMachine()): Device[] {
  if (list.trim() === 'auto') return automatic(members, machine);
  const devices = list.split(',').map((entry): Device => {
    const match = /^(cpu|gpu):(\d+)$/.exec(entry.trim());
    if (match === null) throw new UserError(`--devices: "${entry.trim()}" is no device`, { remedy });
    const number = Number(match[2]);
    if (match[1] === 'gpu') return { kind: 'gpu', index: number };
    if (number === 0) throw new UserError('--devices: "cpu:0" asks for no thread', { remedy });
    return { kind: 'cpu', index: 0, threads: number };
  });
  const threads = new Set(devices.filter(({ kind }) => kind === 'cpu').map((device) => device.threads));
  if (threads.size > 1 && !machine.processes) {
    throw new UserError(
      `--devices: ${list} asks for different numbers of CPU threads, which one process cannot have`,
      { remedy: 'name the same number for each, or give each member a process with --isolation process' },
    );
  }
  const each = membersOfGpus(devices);
  if (new Set(each.values()).size > 1) {
    throw new UserError(`--devices: ${list} names GPUs a different number of times`, {
      remedy: 'name each GPU equally often: all are divided into shares of the same size',
    });
  }
  return numbered(devices);
}

/** How many members train on each GPU at once, by its index. */
function membersOfGpus(devices: readonly Device[]): Map<number, number> {
  const members = new Map<number, number>();
  for (const { kind, index } of devices)
    if (kind === 'gpu') members.set(index, (members.get(index) ?? 0) + 1);
  return members;
}

const MIB = 2 ** 20;

/**
 * Gives every member of a GPU on which several train at once its share of the memory: an allocator and a stream of its own.
 * The smallest GPU decides about the size. Other lists of devices are returned as they are, without listing devices.
 *
 * @throws EngineError if TensorFlow cannot list the devices
 */
export async function divideGpuMemory(
  devices: readonly Device[],
  list: () => Promise<readonly DeviceInfo[]> = listDevices,
): Promise<Device[]> {
  const most = Math.max(1, ...membersOfGpus(devices).values());
  if (most === 1) return [...devices];
  const memories = (await list()).flatMap(({ kind, memory }) => (kind === 'gpu' ? [memory ?? 0] : []));
  const memoryLimit = Math.floor(Math.min(...memories) / most / MIB) * MIB;
  // Without a GPU the engine says what is missing when it is opened.
  if (memories.length === 0 || memoryLimit === 0) return [...devices];
  return devices.map((device) => (device.kind === 'gpu' ? { ...device, memoryLimit } : device));
}

/**
 * The scheduler's slots for a list of devices, one for each entry. CPU members share the memory of this machine or control
 * group, `hostMemory` bytes; members of a GPU have their shares of it.
 */
export function slotsOf(devices: readonly Device[], hostMemory: number = usableMemory()): DeviceSlot[] {
  return devices.map((device) => ({
    device: deviceName(device),
    members: 1,
    ...(device.kind === 'cpu' && { memoryBytes: hostMemory, pool: 'cpu' }),
    ...(device.memoryLimit !== undefined && { memoryBytes: device.memoryLimit }),
  }));
}

/** A device as it is written in a list. */
export function deviceName(device: Device): string {
  return device.kind === 'gpu' ? `gpu:${device.index}` : `cpu:${device.threads ?? usableCores()}`;
}

function automatic(members: number, { cores, gpus }: Machine): Device[] {
  if (gpus > 0)
    return Array.from({ length: Math.min(gpus, members) }, (_, index) => ({ kind: 'gpu', index }));
  const count = Math.max(1, Math.min(members, cores));
  const threads = Math.max(1, Math.floor(cores / count));
  return numbered(Array.from({ length: count }, () => ({ kind: 'cpu', index: 0, threads })));
}

/** Gives each CPU entry a device of its own. */
function numbered(devices: Device[]): Device[] {
  let cpus = 0;
  return devices.map((device) => (device.kind === 'cpu' ? { ...device, index: cpus++ } : device));
}
