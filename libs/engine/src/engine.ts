// Opens and closes an engine. Only this file chooses which backend runs the tfjs code of this thread.
import { isMainThread } from 'node:worker_threads';
import tf from '@tensorflow/tfjs';
import { BACKEND_NAME, TensorFlowBackend } from './backend/backend.ts';
import { openBinding } from './backend/binding.ts';
import { loadTensorFlow } from './native/declarations.ts';
import type { Device } from './devices/device.ts';
import { listDevices } from './devices/devices.ts';
import { EngineError } from './errors.ts';
import { divideGpus } from './devices/gpu-shares.ts';
import { registerKernels } from './kernels/register.ts';
import { mendCpuAvgPoolGradient } from './kernels/pooling-cpu.ts';
import { mendCpuResizeGradient } from './kernels/resize-cpu.ts';
import { mendCpuTransform } from './kernels/transform-cpu.ts';
import { requireTensorFlow } from './library/library.ts';
import { type Numerics, type NumericsInForce, setNumerics } from './numerics.ts';

/** `tensorflow`: TensorFlow's C library; `cpu`: tfjs's own CPU backend, which is slow but needs no native library. */
export type EngineKind = 'tensorflow' | 'cpu';

export interface Engine {
  readonly kind: EngineKind;
  /** Human-readable description of library and device: `TensorFlow 2.21.0 on CPU:0`. */
  readonly description: string;
  /**
   * One line for each setting that differs from the requested one, or that this engine changed for the whole process.
   */
  readonly notes: readonly string[];
  /** TensorFlow's full name of every device it sees. */
  readonly devices: readonly string[];
  /** Number of tensors in the engine's memory; always 0 on the engine `cpu`, which does not count them. */
  readonly tensors: number;
  /**
   * Disposes all variables and tensors of this thread and frees the native memory.
   *
   * A captured step that is already running cannot be interrupted: it runs to its end and its memory is freed
   * afterwards. Its promise, and those of steps still waiting, reject with EngineError 'stopped'. When a worker thread
   * exits, its engine is closed automatically; when it is terminated, it is not.
   */
  close(): void;
}

let open: Engine | undefined;

export interface EngineOptions extends Numerics {
  engine?: EngineKind;
  /** Device to compute on; default: `{ kind: 'cpu', index: 0 }`. */
  device?: Device;
}

/**
 * Opens the engine of this thread and makes it the active tfjs backend. A thread can have one open engine at a time.
 *
 * @throws EngineError 'library-missing', 'library-version' or 'library-damaged' if TensorFlow cannot be used;
 *   'device' if the device does not exist or cannot be opened as requested, or this thread already has an engine.
 */
export async function openEngine(options: EngineOptions = {}): Promise<Engine> {
  if (open)
    throw new EngineError('device', `this thread already has an engine: ${open.description}`, {
      remedy: 'close it first',
    });
  const kind = options.engine ?? 'tensorflow';
  open = kind === 'cpu' ? await openCpu() : await openTensorFlow(options);
  return open;
}

async function openTensorFlow(options: EngineOptions): Promise<Engine> {
  const device = options.device ?? { kind: 'cpu', index: 0 };
  const api = loadTensorFlow(requireTensorFlow());
  await divideGpus(device, listDevices);
  const numerics = setNumerics(api, options);
  const binding = openBinding(api, device);
  registerKernels();
  tf.registerBackend(BACKEND_NAME, () => new TensorFlowBackend(binding));
  await tf.setBackend(BACKEND_NAME);
  let closed = false;
  const close = () => {
    if (closed) return;
    closed = true;
    process.off('exit', close);
    open = undefined;
    tf.disposeVariables();
    tf.removeBackend(BACKEND_NAME);
    binding.close();
  };
  if (!isMainThread) process.once('exit', close); // otherwise the native memory would stay allocated until the process ends
  return {
    kind: 'tensorflow',
    description: describe(device, { version: binding.TF_Version, numerics }),
    notes: [...binding.context.notes, ...numerics.notes],
    devices: binding.context.devices,
    get tensors() {
      return binding.tensors.size;
    },
    close,
  };
}

function describe(
  device: Device,
  { version, numerics }: { version: string; numerics: NumericsInForce },
): string {
  const place = `${device.kind.toUpperCase()}:${device.index}`;
  const limit =
    device.memoryLimit === undefined ? '' : ` (${Math.floor(device.memoryLimit / 2 ** 20)} MiB of it)`;
  const tf32 = device.kind === 'gpu' ? `, TF32 ${numerics.tf32 ? 'on' : 'off'}` : '';
  return `TensorFlow ${version} on ${place}${limit}${tf32}${numerics.deterministic ? ', deterministic ops' : ''}`;
}

async function openCpu(): Promise<Engine> {
  await tf.setBackend('cpu');
  mendCpuTransform();
  mendCpuAvgPoolGradient();
  mendCpuResizeGradient();
  (tf.backend() as { firstUse?: boolean }).firstUse = false; // suppresses tfjs's advice to install tfjs-node
  return {
    kind: 'cpu',
    description: `tfjs ${tf.version_core} on its CPU backend (slow)`,
    notes: [],
    devices: ['CPU'],
    tensors: 0,
    close() {
      open = undefined;
      tf.disposeVariables();
    },
  };
}
