// Registers the kernels of the backend 'tensorflow': tfjs-node's, and those of this engine that replace or extend them.
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

/** Registers all kernels and gradients. Further calls have no effect. */
export function registerKernels() {
  if (registered) return;
  registered = true;
  require('@tensorflow/tfjs-node-gpu/dist/register_all_kernels');
  const replacements: KernelConfig[] = [
    castKernel,
    transposeKernel,
    multinomialKernel,
    ...convolutionKernels,
    ...poolingKernels,
    ...elementwiseKernels(),
  ];
  for (const { kernelName, backendName } of replacements) tf.unregisterKernel(kernelName, backendName);
  const additions = [transformKernel, batchNormTrainingKernel, groupedConv2dKernel, blendRowsKernel];
  for (const kernel of [...replacements, ...additions]) tf.registerKernel(kernel);
  tf.unregisterGradient('Relu');
  tf.registerGradient(reluGradient);
  for (const gradient of [batchNormTrainingGradient, groupedConv2dGradient]) tf.registerGradient(gradient);
}
