// The devices that TensorFlow sees here, asked in a process of its own: the first context of a process settles CPU
// threads and the division of GPUs for all that follow.
import { execFile } from 'node:child_process';
import { totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { DeviceInfo, ListedDevice } from './device.ts';
import { codeOf, EngineError, messageOf } from '../errors.ts';
import { requireTensorFlow } from '../library/library.ts';

/**
 * Every device that an engine can be opened on, with its memory; CPU devices beyond 0 are virtual and not listed.
 * Takes about a second; an open engine is not touched.
 *
 * @throws EngineError 'library-missing' and its kin without TensorFlow, 'device' when TensorFlow cannot list.
 */
export async function listDevices(): Promise<DeviceInfo[]> {
  const library = requireTensorFlow();
  const program = fileURLToPath(new URL('../../dist/devices/list-devices-main.js', import.meta.url));
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

/** TensorFlow's list, without the memory that it makes up for CPUs (256 MiB). */
export function devicesOf(listed: readonly ListedDevice[]): DeviceInfo[] {
  return listed.flatMap(({ fullName, memory }): DeviceInfo[] => {
    const [, kind, index] = /\/device:(CPU|GPU):(\d+)$/.exec(fullName) ?? [];
    if (kind === 'CPU')
      return [{ name: `CPU:${index}`, kind: 'cpu', index: Number(index), memory: hostMemory() }];
    if (kind === 'GPU') return [{ name: `GPU:${index}`, kind: 'gpu', index: Number(index), memory }];
    return [];
  });
}

/** Bytes: the machine's, or less where a container is limited. */
function hostMemory(): number {
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}
