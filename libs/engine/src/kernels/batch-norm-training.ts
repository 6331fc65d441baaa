// Batch normalisation by the batch's own statistics: TensorFlow's fused op and its gradient as a tfjs kernel.
import tf, { type GradConfig, type KernelConfig, type Tensor, type TensorInfo } from '@tensorflow/tfjs';
import { activeBackend, type TensorFlowBackend } from '../backend.ts';
import { type Attribute, DataType } from '../types.ts';
import { bool, float, text, type } from './attributes.ts';

export const BATCH_NORM_TRAINING = 'BatchNormTraining';

const attributesOf = (epsilon: number): Attribute[] => [
  type('T', DataType.FLOAT),
  type('U', DataType.FLOAT),
  float('epsilon', epsilon),
  text('data_format', 'NHWC'),
  bool('is_training', true),
];

/**
 * Outputs: y, mean and (unbiased) variance of the batch, or those given moved towards them by `momentum`, and three that
 * only the gradient understands.
 */
export const batchNormTrainingKernel: KernelConfig = {
  kernelName: BATCH_NORM_TRAINING,
  backendName: 'tensorflow',
  kernelFunc({ inputs, attrs, backend }) {
    const engine = backend as TensorFlowBackend;
    const { epsilon, momentum } = attrs as unknown as { epsilon: number; momentum: number };
    const none = tf.tensor1d([], 'float32');
    const { x, scale, offset, mean = none, variance = none } = inputs as Record<string, TensorInfo>;
    const attributes = [...attributesOf(epsilon), float('exponential_avg_factor', momentum)];
    const operands = [x!, scale!, offset!, mean, variance];
    const results = engine.run({ name: 'FusedBatchNormV3', attributes, outputs: 6 }, operands);
    none.dispose();
    return results;
  },
};

export const batchNormTrainingGradient: GradConfig = {
  kernelName: BATCH_NORM_TRAINING,
  inputsToSave: ['x', 'scale'],
  outputsToSave: [false, false, false, true, true, true],
  gradFunc(dy, saved, attrs) {
    const backend = activeBackend()!;
    const [x, scale, ...reserved] = saved;
    const dys = dy as unknown as Tensor[];
    const operands = [dys[0], x, scale, ...reserved];
    const attributes = attributesOf(attrs['epsilon'] as number);
    const results = backend.run(
      { name: 'FusedBatchNormGradV3', attributes, outputs: 5 },
      operands as Tensor[],
    );
    return { x: () => results[0]!, scale: () => results[1]!, offset: () => results[2]! };
  },
};
