// Opening and closing an engine: the one place that decides what runs the tfjs code of this thread.
import tf from '@tensorflow/tfjs';
import { BACKEND_NAME, TensorFlowBackend } from './backend.ts';
import { openBinding } from './binding.ts';
import type { Device } from './context.ts';
import { loadTensorFlow } from './declarations.ts';
import { EngineError } from './errors.ts';
import { registerKernels } from './kernels/register.ts';
import { mendCpuTransform } from './kernels/transform-cpu.ts';
import { requireTensorFlow } from './library.ts';

/** `tensorflow`: TensorFlow's C library; `cpu`: tfjs's own CPU backend, slow, without any native library. */
export type EngineKind = 'tensorflow' | 'cpu';

export interface Engine {
  readonly kind: EngineKind;
  /** What computes, for a person: `TensorFlow 2.21.0 on CPU:0`. */
  readonly description: string;
  /** Every device TensorFlow sees. */
  readonly devices: readonly string[];
  /** Tensors that live in the engine's memory; 0 on the engine `cpu`, which does not count. */
  readonly tensors: number;
  /** Disposes all variables and tensors of this thread and frees the native memory. */
  close(): void;
}

let open: Engine | undefined;

/**
 * Opens the engine of this thread and makes it tfjs's backend. One at a time in a thread.
 *
 * @throws EngineError 'library-missing', 'library-version', 'library-damaged', 'device'.
 */
export async function openEngine(options: { engine?: EngineKind; device?: Device } = {}): Promise<Engine> {
  if (open)
    throw new EngineError('device', `this thread already has an engine: ${open.description}`, {
      remedy: 'close it first',
    });
  const kind = options.engine ?? 'tensorflow';
  open = kind === 'cpu' ? await openCpu() : await openTensorFlow(options.device ?? { kind: 'cpu', index: 0 });
  return open;
}

async function openTensorFlow(device: Device): Promise<Engine> {
  const api = loadTensorFlow(requireTensorFlow());
  const binding = openBinding(api, device);
  registerKernels();
  tf.registerBackend(BACKEND_NAME, () => new TensorFlowBackend(binding));
  await tf.setBackend(BACKEND_NAME);
  return {
    kind: 'tensorflow',
    description: `TensorFlow ${binding.TF_Version} on ${binding.context.device.split('/device:')[1]}`,
    devices: binding.context.devices,
    get tensors() {
      return binding.tensors.size;
    },
    close() {
      open = undefined;
      tf.disposeVariables();
      tf.removeBackend(BACKEND_NAME);
      binding.close();
    },
  };
}

async function openCpu(): Promise<Engine> {
  await tf.setBackend('cpu');
  mendCpuTransform();
  (tf.backend() as { firstUse?: boolean }).firstUse = false; // no advice to install tfjs-node
  return {
    kind: 'cpu',
    description: `tfjs ${tf.version_core} on its CPU backend (slow)`,
    devices: ['CPU'],
    tensors: 0,
    close() {
      open = undefined;
      tf.disposeVariables();
    },
  };
}
