// tf.image.transform, which tfjs-node lacks, as TensorFlow's ImageProjectiveTransformV3.
import tf, { type KernelConfig, type TensorInfo } from '@tensorflow/tfjs';
import type { TensorFlowBackend } from '../backend/backend.ts';
import { DataType } from '../native/types.ts';
import { text, type } from './attributes.ts';

export const transformKernel: KernelConfig = {
  kernelName: 'Transform',
  backendName: 'tensorflow',
  kernelFunc({ inputs, attrs, backend }) {
    const engine = backend as TensorFlowBackend;
    const image = inputs['image'] as TensorInfo;
    const transforms = inputs['transforms'] as TensorInfo;
    const { interpolation, fillMode, fillValue, outputShape } = attrs as unknown as {
      interpolation: string;
      fillMode: string;
      fillValue: number;
      outputShape?: [number, number];
    };
    const size = tf.tensor1d(outputShape ?? image.shape.slice(1, 3), 'int32');
    const fill = tf.scalar(fillValue, 'float32');
    const attributes = [
      type('dtype', DataType.FLOAT),
      text('interpolation', interpolation.toUpperCase()),
      text('fill_mode', fillMode.toUpperCase()),
    ];
    const op = { name: 'ImageProjectiveTransformV3', attributes };
    const result = engine.run(op, [image, transforms, size, fill])[0]!;
    size.dispose();
    fill.dispose();
    return result;
  },
};
