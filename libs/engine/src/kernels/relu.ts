// ReLU's gradient as one TensorFlow op instead of tfjs's three. It is computed from the output, so the input need not
// be kept and TensorFlow may fuse the ReLU with the op before it. Other backends keep tfjs's rule.
import type { GradConfig, Tensor } from '@tensorflow/tfjs';
import tf from '@tensorflow/tfjs';
import { activeBackend } from '../backend/backend.ts';
import { DataType } from '../native/types.ts';
import { type } from './attributes.ts';

export const reluGradient: GradConfig = {
  kernelName: 'Relu',
  outputsToSave: [true],
  gradFunc(dy, saved) {
    const backend = activeBackend();
    const [y] = saved as [Tensor];
    return {
      x: () =>
        backend
          ? backend.run({ name: 'ReluGrad', attributes: [type('T', DataType.FLOAT)] }, [dy as Tensor, y])[0]!
          : tf.mul(dy as Tensor, tf.cast(tf.step(y), 'float32')),
    };
  },
};
