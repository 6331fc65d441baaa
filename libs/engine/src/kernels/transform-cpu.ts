// Corrects tf.image.transform on tfjs's own CPU backend: its kernel returns after the first image of a batch and leaves
// the others empty.
import tf, { type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import { mendCpuKernel } from './mend-cpu.ts';

/** Calls tfjs's kernel separately for each image of a batch. */
export function mendCpuTransform() {
  mendCpuKernel('Transform', (original) => ({ inputs, attrs, backend }) => {
    const images = tf.unstack(inputs['image'] as Tensor4D);
    const rows = tf.unstack(inputs['transforms'] as Tensor2D);
    const transformed = images.map((image, i) => {
      const one = {
        image: tf.expandDims(image),
        transforms: tf.expandDims(rows.length === 1 ? rows[0]! : rows[i]!),
      };
      const { dataId, shape, dtype } = original({ inputs: one, attrs: attrs!, backend }) as Tensor4D;
      return tf.engine().makeTensorFromDataId(dataId, shape, dtype) as Tensor4D;
    });
    return tf.concat(transformed);
  });
}
