// Kernels of tfjs's own CPU backend (4.22) that compute wrongly, replaced by mended ones.
import tf, { type KernelConfig } from '@tensorflow/tfjs';

type Kernel = KernelConfig['kernelFunc'];

const mended = new Set<string>();

/** Puts what `mend` makes of a kernel in its place; once, however often it is called. */
export function mendCpuKernel(kernelName: string, mend: (original: Kernel) => Kernel) {
  if (mended.has(kernelName)) return;
  mended.add(kernelName);
  const { kernelFunc } = tf.getKernel(kernelName, 'cpu');
  tf.unregisterKernel(kernelName, 'cpu');
  tf.registerKernel({ kernelName, backendName: 'cpu', kernelFunc: mend(kernelFunc) });
}
