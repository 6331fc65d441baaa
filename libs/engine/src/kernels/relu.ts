// ReLU's gradient as one op of TensorFlow's instead of tfjs's three, from the output: the input need not be kept, and
// TensorFlow may fuse it away. Other backends keep tfjs's rule.
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
