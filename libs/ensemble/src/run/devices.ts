// The list of devices that members are trained on, as a person writes it: `gpu:0,gpu:1`, `cpu:2`, `auto`.
import { availableParallelism } from 'node:os';
import { UserError } from '@ct-ensemble/core';
import { type Device, type EngineKind, usableGpus } from '@ct-ensemble/engine';

export interface Machine {
  /** CPU cores this process may use. */
  cores: number;
  /** GPUs that TensorFlow can use. */
  gpus: number;
}

/** This machine, as far as the engine can use it: tfjs's CPU backend knows no GPU and asks for no native library. */
export const thisMachine = (engine: EngineKind = 'tensorflow'): Machine => ({
  cores: availableParallelism(),
  gpus: engine === 'cpu' ? 0 : usableGpus(),
});

const remedy =
  "write 'auto', or a list such as 'gpu:0,gpu:1' (which GPU) or 'cpu:2,cpu:2' (threads of each member)";

/**
 * One device for each member that trains at the same time.
 *
 * `gpu:I` is the I-th GPU. `cpu:T` is the CPU with T threads; TensorFlow's threads belong to the process, so all
 * entries must name the same T. `auto` is every GPU, or, without one, as many CPU devices as there are members or
 * cores, whichever is less, that share the cores.
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
  if (threads.size > 1) {
    throw new UserError(
      `--devices: ${list} asks for different numbers of CPU threads, which one process cannot have`,
      {
        remedy: 'name the same number for each, or start the members in separate processes',
      },
    );
  }
  const gpus = devices.filter(({ kind }) => kind === 'gpu').map(({ index }) => index);
  if (new Set(gpus).size < gpus.length)
    throw new UserError(`--devices: ${list} names a GPU twice`, { remedy });
  return numbered(devices);
}

/** A device as it is written in a list. */
export function deviceName(device: Device): string {
  return device.kind === 'gpu' ? `gpu:${device.index}` : `cpu:${device.threads ?? availableParallelism()}`;
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
