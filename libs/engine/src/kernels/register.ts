// The kernels of the backend 'tensorflow': tfjs-node's, and those that it lacks or that this engine does better.
import { createRequire } from 'node:module';
import tf, { type KernelConfig } from '@tensorflow/tfjs';
import { batchNormTrainingGradient, batchNormTrainingKernel } from './batch-norm-training.ts';
import { castKernel, transposeKernel } from './bytes.ts';
import { conv2dFilterGradientKernel } from './conv2d-filter-gradient.ts';
import { reluGradient } from './relu.ts';
import { transformKernel } from './transform.ts';

const require = createRequire(import.meta.url);
let registered = false;

/** Registers tfjs-node's kernels, then our own in place of them; once. */
export function registerKernels() {
  if (registered) return;
  registered = true;
  require('@tensorflow/tfjs-node-gpu/dist/register_all_kernels');
  const filterGradient = conv2dFilterGradientKernel(
    tf.getKernel('Conv2DBackpropFilter', 'tensorflow').kernelFunc,
  );
  const better: KernelConfig[] = [castKernel, transposeKernel, filterGradient];
  for (const { kernelName, backendName } of better) tf.unregisterKernel(kernelName, backendName);
  for (const kernel of [...better, transformKernel, batchNormTrainingKernel]) tf.registerKernel(kernel);
  tf.unregisterGradient('Relu');
  tf.registerGradient(reluGradient);
  tf.registerGradient(batchNormTrainingGradient);
}
