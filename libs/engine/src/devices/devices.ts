// Lists the devices that TensorFlow sees. This happens in a separate process, because the first context of a process
// fixes its CPU threads and the division of its GPUs.
import { execFile } from 'node:child_process';
import { totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { DeviceInfo, ListedDevice } from './device.ts';
import { codeOf, EngineError, messageOf } from '../errors.ts';
import { requireTensorFlow } from '../library/library.ts';

/**
 * Every device that an engine can be opened on, with its memory in bytes; virtual CPU devices (index > 0) are not
 * listed. Takes about a second and does not affect an open engine.
 *
 * @throws EngineError as `requireTensorFlow` does if TensorFlow is missing; 'device' if TensorFlow cannot list devices.
 */
export async function listDevices(): Promise<DeviceInfo[]> {
  const library = requireTensorFlow();
  const program = fileURLToPath(new URL('../../dist/list-devices-main.js', import.meta.url));
  try {
    const args = [program, JSON.stringify(library)];
    const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 120_000 });
    return devicesOf(JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as ListedDevice[]);
  } catch (error) {
    const { stderr } = error as { stderr?: string };
    const problem = stderr?.trim().split('\n').at(-1) || messageOf(error);
    throw new EngineError(
      'device',
      `TensorFlow could not list its devices (${codeOf(error) ?? ''} ${problem})`,
      {
        remedy: 'run `nx run engine:doctor`',
        cause: error,
      },
    );
  }
}

/** Converts TensorFlow's list; the fictitious 256 MiB that it reports for CPUs are replaced by the machine's memory. */
export function devicesOf(listed: readonly ListedDevice[]): DeviceInfo[] {
  return listed.flatMap(({ fullName, memory }): DeviceInfo[] => {
    const [, kind, index] = /\/device:(CPU|GPU):(\d+)$/.exec(fullName) ?? [];
    if (kind === 'CPU')
      return [{ name: `CPU:${index}`, kind: 'cpu', index: Number(index), memory: hostMemory() }];
    if (kind === 'GPU') return [{ name: `GPU:${index}`, kind: 'gpu', index: Number(index), memory }];
    return [];
  });
}

/** Memory of the machine in bytes, or the limit of its container if that is less. */
function hostMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}
