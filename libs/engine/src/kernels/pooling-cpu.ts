// The gradient of an average pool on tfjs's own CPU backend, mended: with padding 'same' its kernel (4.22) gives every pixel
// dy over the window's whole area, although the average forward is over the part within the image.
import tf, { type KernelConfig, type Tensor4D } from '@tensorflow/tfjs';
import { infoOf, overlap } from './pooling.ts';

const KERNEL = 'AvgPoolGrad';
let mended = false;

/** Has dy scaled to the part of each window that counts. */
export function mendCpuAvgPoolGradient() {
  if (mended) return;
  mended = true;
  const original = tf.getKernel(KERNEL, 'cpu');
  const kernelFunc: KernelConfig['kernelFunc'] = ({ inputs, attrs, backend }) => {
    const { dy, input } = inputs as Record<'dy' | 'input', Tensor4D>;
    if (attrs!['pad'] !== 'same') return original.kernelFunc({ inputs, attrs: attrs!, backend });
    const scaled = tf.mul(dy, overlap(infoOf(attrs!, input.shape)));
    const result = original.kernelFunc({ inputs: { dy: scaled, input }, attrs: attrs!, backend });
    scaled.dispose();
    return result;
  };
  tf.unregisterKernel(KERNEL, 'cpu');
  tf.registerKernel({ kernelName: KERNEL, backendName: 'cpu', kernelFunc });
}
