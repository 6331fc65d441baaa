// Replaces kernels of tfjs's own CPU backend (4.22) that compute wrong results.
import tf, { type KernelConfig } from '@tensorflow/tfjs';

type Kernel = KernelConfig['kernelFunc'];

const mended = new Set<string>();

/** Replaces a kernel by the result of `mend`. Further calls for the same kernel have no effect. */
export function mendCpuKernel(kernelName: string, mend: (original: Kernel) => Kernel) {
  if (mended.has(kernelName)) return;
  mended.add(kernelName);
  const { kernelFunc } = tf.getKernel(kernelName, 'cpu');
  tf.unregisterKernel(kernelName, 'cpu');
  tf.registerKernel({ kernelName, backendName: 'cpu', kernelFunc: mend(kernelFunc) });
}
