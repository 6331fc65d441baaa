// Corrects the gradient of average pooling on tfjs's own CPU backend: with padding 'same' its kernel divides dy by the
// whole area of the window, although the forward pass averages only over the part within the image.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { mendCpuKernel } from './mend-cpu.ts';
import { infoOf, overlap } from './pooling.ts';

/** Scales dy by whole area / area within the image of each window before tfjs's kernel is called. */
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
