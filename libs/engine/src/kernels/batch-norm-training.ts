// Batch normalisation with the batch's own statistics: TensorFlow's fused op and its gradient as a tfjs kernel.
import tf, { type GradConfig, type KernelConfig, type Tensor, type Tensor4D } from '@tensorflow/tfjs';
import { activeBackend, type TensorFlowBackend } from '../backend/backend.ts';
import { type Attribute, DataType } from '../native/types.ts';
import { bool, float, text, type } from './attributes.ts';

export const BATCH_NORM_TRAINING = 'BatchNormTraining';

const attributesOf = (epsilon: number): Attribute[] => [
  type('T', DataType.FLOAT),
  type('U', DataType.FLOAT),
  float('epsilon', epsilon),
  text('data_format', 'NHWC'),
  bool('is_training', true),
];

interface Attributes {
  epsilon: number;
  momentum: number;
  offCentre: boolean;
}

/**
 * Outputs: y; mean and unbiased variance of the batch, or the given running statistics moved towards them by
 * `momentum`; three tensors reserved for the gradient; and the normalised x, with its first pixel subtracted if
 * `offCentre`.
 */
export const batchNormTrainingKernel: KernelConfig = {
  kernelName: BATCH_NORM_TRAINING,
  backendName: 'tensorflow',
  kernelFunc({ inputs, attrs, backend }) {
    const engine = backend as TensorFlowBackend;
    const { epsilon, momentum, offCentre } = attrs as unknown as Attributes;
    const attributes = [...attributesOf(epsilon), float('exponential_avg_factor', momentum)];
    return tf.tidy(() => {
      const none = tf.tensor1d([], 'float32');
      const { x, scale, offset, mean = none, variance = none } = inputs as Record<string, Tensor>;
      const normalised = (image: Tensor, before: Tensor) =>
        engine.run({ name: 'FusedBatchNormV3', attributes, outputs: 6 }, [
          ...[image, scale!, offset!],
          ...[before, variance],
        ]);
      if (!offCentre) return [...normalised(x!, mean), tf.clone(x!)];
      const shift = tf.slice(x as Tensor4D, [0, 0, 0, 0], [1, 1, 1, -1]).flatten();
      const shifted = tf.sub(x!, shift);
      const [y, moved, ...others] = normalised(shifted, mean.size === 0 ? mean : tf.sub(mean, shift));
      return [y!, tf.add(moved!, shift), ...others, shifted];
    });
  },
};

export const batchNormTrainingGradient: GradConfig = {
  kernelName: BATCH_NORM_TRAINING,
  inputsToSave: ['scale'],
  outputsToSave: [false, false, false, true, true, true, true],
  gradFunc(dy, saved, attrs) {
    const backend = activeBackend()!;
    const [scale, first, second, third, x] = saved;
    const dys = dy as unknown as Tensor[];
    const operands = [dys[0], x, scale, first, second, third];
    const attributes = attributesOf(attrs['epsilon'] as number);
    const results = backend.run(
      { name: 'FusedBatchNormGradV3', attributes, outputs: 5 },
      operands as Tensor[],
    );
    return { x: () => results[0]!, scale: () => results[1]!, offset: () => results[2]! };
  },
};
