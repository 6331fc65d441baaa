// tf.image.transform on tfjs's own CPU backend, mended: its kernel (4.22) returns after the first image of a batch
// and leaves the others empty.
import tf, { type KernelConfig, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';

const KERNEL = 'Transform';
let mended = false;

/** Has the kernel called once for each image. */
export function mendCpuTransform() {
  if (mended) return;
  mended = true;
  const original = tf.getKernel(KERNEL, 'cpu');
  const kernelFunc: KernelConfig['kernelFunc'] = ({ inputs, attrs, backend }) => {
    const images = tf.unstack(inputs['image'] as Tensor4D);
    const rows = tf.unstack(inputs['transforms'] as Tensor2D);
    const turned = images.map((image, i) => {
      const one = {
        image: tf.expandDims(image),
        transforms: tf.expandDims(rows.length === 1 ? rows[0]! : rows[i]!),
      };
      const { dataId, shape, dtype } = original.kernelFunc({
        inputs: one,
        attrs: attrs!,
        backend,
      }) as Tensor4D;
      return tf.engine().makeTensorFromDataId(dataId, shape, dtype) as Tensor4D;
    });
    return tf.concat(turned);
  };
  tf.unregisterKernel(KERNEL, 'cpu');
  tf.registerKernel({ kernelName: KERNEL, backendName: 'cpu', kernelFunc });
}
