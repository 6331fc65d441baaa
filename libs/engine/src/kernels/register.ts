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
  const filterGradient = conv2dFilterGradientKernel(
    tf.getKernel('Conv2DBackpropFilter', 'tensorflow').kernelFunc,
  );
  const better: KernelConfig[] = [castKernel, transposeKernel, filterGradient];
  for (const { kernelName, backendName } of better) tf.unregisterKernel(kernelName, backendName);
  for (const kernel of [...better, transformKernel, batchNormTrainingKernel]) tf.registerKernel(kernel);
  tf.unregisterGradient('Relu');
  tf.registerGradient(reluGradient);
  if (!tf.getGradient(BATCH_NORM_TRAINING)) tf.registerGradient(batchNormTrainingGradient);
}
