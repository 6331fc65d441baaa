// Corrects the gradient of a nearest-neighbour resize on tfjs's own CPU backend: its kernel locates all images of a
// batch but the first in the large gradient by offsets computed from the small image's size.
import tf, { type Tensor4D } from '@tensorflow/tfjs';
import { mendCpuKernel } from './mend-cpu.ts';

/** Calls tfjs's kernel separately for each image of a batch. */
export function mendCpuResizeGradient() {
  mendCpuKernel('ResizeNearestNeighborGrad', (original) => ({ inputs, attrs, backend }) => {
    const { images, dy } = inputs as Record<'images' | 'dy', Tensor4D>;
    if (images.shape[0] <= 1) return original({ inputs, attrs: attrs!, backend });
    return tf.tidy(() => {
      const gradients = tf.split(dy, dy.shape[0]);
      const each = tf.split(images, images.shape[0]).map((image, i) => {
        const one = { inputs: { images: image, dy: gradients[i]! }, attrs: attrs!, backend };
        const { dataId, shape, dtype } = original(one) as Tensor4D;
        return tf.engine().makeTensorFromDataId(dataId, shape, dtype);
      });
      return tf.concat(each);
    });
  });
}
