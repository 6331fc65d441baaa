// Kernels that tfjs-node lacks, or that this engine does better, for the backend 'tensorflow'.
import tf, { type KernelConfig } from '@tensorflow/tfjs';
import {
  BATCH_NORM_TRAINING,
  batchNormTrainingGradient,
  batchNormTrainingKernel,
} from './batch-norm-training.ts';
import { castKernel, transposeKernel } from './bytes.ts';
import { conv2dFilterGradientKernel } from './conv2d-filter-gradient.ts';
import { reluGradient } from './relu.ts';
import { transformKernel } from './transform.ts';

/** Registers them in place of tfjs-node's. Call after tfjs-node's kernels are registered. */
export function registerOwnKernels() {
  for (const kernel of [castKernel, transposeKernel])
    tf.unregisterKernel(kernel.kernelName, kernel.backendName);
  const kernels: KernelConfig[] = [castKernel, transposeKernel, transformKernel, batchNormTrainingKernel];
  for (const kernel of kernels) tf.registerKernel(kernel);
  tf.unregisterGradient('Relu');
  tf.registerGradient(reluGradient);
  if (!tf.getGradient(BATCH_NORM_TRAINING)) tf.registerGradient(batchNormTrainingGradient);
}
