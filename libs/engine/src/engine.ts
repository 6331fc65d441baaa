// Opening and closing an engine: the one place that decides what runs the tfjs code of this thread.
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

/** `tensorflow`: TensorFlow's C library; `cpu`: tfjs's own CPU backend, slow, without any native library. */
export type EngineKind = 'tensorflow' | 'cpu';

export interface Engine {
  readonly kind: EngineKind;
  /** What computes, for a person: `TensorFlow 2.21.0 on CPU:0`. */
  readonly description: string;
  /** Where the engine got something else than it asked for, or changed it for others; one line each. */
  readonly notes: readonly string[];
  /** Every device TensorFlow sees. */
  readonly devices: readonly string[];
  /** Tensors that live in the engine's memory; 0 on the engine `cpu`, which does not count. */
  readonly tensors: number;
  /**
   * Disposes all variables and tensors of this thread and frees the native memory. A captured step that runs now
   * runs to its end, since TensorFlow cannot break it off, and the memory is freed then; it and those that wait reject
   * with an EngineError 'stopped'. A worker thread that ends closes its engine by itself, unless it is terminated.
   */
  close(): void;
}

let open: Engine | undefined;

export interface EngineOptions extends Numerics {
  engine?: EngineKind;
  /** Where it computes; default: `{ kind: 'cpu', index: 0 }`. */
  device?: Device;
}

/**
 * Opens the engine of this thread and makes it tfjs's backend. One at a time in a thread.
 *
 * @throws EngineError 'library-missing', 'library-version', 'library-damaged', 'device'.
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
  if (!isMainThread) process.once('exit', close); // the process lives on, and so would the native memory
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

function describe(device: Device, told: { version: string; numerics: NumericsInForce }): string {
  const { version, numerics } = told;
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
  (tf.backend() as { firstUse?: boolean }).firstUse = false; // no advice to install tfjs-node
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
