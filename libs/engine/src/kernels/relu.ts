// ReLU's gradient as one op of TensorFlow's instead of tfjs's three; other backends keep tfjs's.
import type { GradConfig, Tensor } from '@tensorflow/tfjs';
import tf from '@tensorflow/tfjs';
import { activeBackend } from '../backend.ts';
import { DataType } from '../types.ts';
import { type } from './attributes.ts';

export const reluGradient: GradConfig = {
  kernelName: 'Relu',
  inputsToSave: ['x'],
  gradFunc(dy, saved) {
    const backend = activeBackend();
    const [x] = saved as [Tensor];
    return {
      x: () =>
        backend
          ? backend.run({ name: 'ReluGrad', attributes: [type('T', DataType.FLOAT)] }, [dy as Tensor, x])[0]!
          : tf.mul(dy as Tensor, tf.cast(tf.step(x), 'float32')),
    };
  },
};
