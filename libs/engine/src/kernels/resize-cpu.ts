// The gradient of a nearest-neighbour resize on tfjs's own CPU backend, mended: its kernel (4.22) finds the images of a batch
// behind the first by the edge of the small image in the gradient of the large one.
import tf, { type KernelConfig, type Tensor4D } from '@tensorflow/tfjs';

const KERNEL = 'ResizeNearestNeighborGrad';
let mended = false;

/** Has each image of a batch by itself. */
export function mendCpuResizeGradient() {
  if (mended) return;
  mended = true;
  const original = tf.getKernel(KERNEL, 'cpu');
  const kernelFunc: KernelConfig['kernelFunc'] = ({ inputs, attrs, backend }) => {
    const { images, dy } = inputs as Record<'images' | 'dy', Tensor4D>;
    if (images.shape[0] <= 1) return original.kernelFunc({ inputs, attrs: attrs!, backend });
    return tf.tidy(() => {
      const gradients = tf.split(dy, dy.shape[0]);
      const each = tf.split(images, images.shape[0]).map((image, i) => {
        const one = { inputs: { images: image, dy: gradients[i]! }, attrs: attrs!, backend };
        const { dataId, shape, dtype } = original.kernelFunc(one) as Tensor4D;
        return tf.engine().makeTensorFromDataId(dataId, shape, dtype);
      });
      return tf.concat(each);
    });
  };
  tf.unregisterKernel(KERNEL, 'cpu');
  tf.registerKernel({ kernelName: KERNEL, backendName: 'cpu', kernelFunc });
}
