// The kernels of the backend 'tensorflow': tfjs-node's, and those that it lacks or that this engine does better.
import { createRequire } from 'node:module';
import tf, { type KernelConfig } from '@tensorflow/tfjs';
import { batchNormTrainingGradient, batchNormTrainingKernel } from './batch-norm-training.ts';
import { blendRowsKernel } from './blend-rows.ts';
import { castKernel, transposeKernel } from './bytes.ts';
import { convolutionKernels } from './convolution.ts';
import { elementwiseKernels } from './elementwise.ts';
import { groupedConv2dGradient, groupedConv2dKernel } from './grouped-conv2d.ts';
import { multinomialKernel } from './multinomial.ts';
import { poolingKernels } from './pooling.ts';
import { reluGradient } from './relu.ts';
import { transformKernel } from './transform.ts';

const require = createRequire(import.meta.url);
let registered = false;

/** Registers tfjs-node's kernels, then our own in place of them; once. */
export function registerKernels() {
  if (registered) return;
  registered = true;
  require('@tensorflow/tfjs-node-gpu/dist/register_all_kernels');
  const better: KernelConfig[] = [
    castKernel,
    transposeKernel,
    multinomialKernel,
    ...convolutionKernels,
    ...poolingKernels,
    ...elementwiseKernels(),
  ];
  for (const { kernelName, backendName } of better) tf.unregisterKernel(kernelName, backendName);
  const further = [transformKernel, batchNormTrainingKernel, groupedConv2dKernel, blendRowsKernel];
  for (const kernel of [...better, ...further]) tf.registerKernel(kernel);
  tf.unregisterGradient('Relu');
  tf.registerGradient(reluGradient);
  for (const gradient of [batchNormTrainingGradient, groupedConv2dGradient]) tf.registerGradient(gradient);
}
