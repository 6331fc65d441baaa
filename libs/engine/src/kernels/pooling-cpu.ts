// The gradient of an average pool on tfjs's own CPU backend: with padding 'same' its kernel gives every pixel
// dy over the window's whole area, although the average forward is over the part within the image.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { mendCpuKernel } from './mend-cpu.ts';
import { infoOf, overlap } from './pooling.ts';

/** Has dy scaled to the part of each window that counts. */
export function mendCpuAvgPoolGradient() {
  mendCpuKernel('AvgPoolGrad', (original) => ({ inputs, attrs, backend }) => {
    const { dy, input } = inputs as Record<'dy' | 'input', Tensor4D>;
    if (attrs!['pad'] !== 'same') return original({ inputs, attrs: attrs!, backend });
    const scaled = tf.mul(dy, overlap(infoOf(attrs!, input.shape)));
    const result = original({ inputs: { dy: scaled, input }, attrs: attrs!, backend });
    scaled.dispose();
    return result;
  });
}
