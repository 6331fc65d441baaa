// tf.multinomial whose result depends on the seed alone; tfjs-node's op also depends on earlier draws.
import tf, { type KernelConfig, type Tensor2D } from '@tensorflow/tfjs';
import type { TensorFlowBackend } from '../backend/backend.ts';
import { DataType } from '../native/types.ts';
import { type } from './attributes.ts';

export const multinomialKernel: KernelConfig = {
  kernelName: 'Multinomial',
  backendName: 'tensorflow',
  kernelFunc: ({ inputs, attrs, backend }) =>
    tf.tidy(() => {
      const engine = backend as TensorFlowBackend;
      const weights = inputs['logits'] as Tensor2D;
      const { numSamples, seed, normalized } = attrs as unknown as {
        numSamples: number;
        seed: number;
        normalized: boolean;
      };
      const logits = normalized ? tf.log(weights) : weights;
      // The seed may be any number, for example 3.14 or Math.random(), so all 64 bits are used.
      const bits = tf.tensor1d(new Int32Array(Float64Array.of(seed).buffer), 'int32');
      const attributes = [
        type('T', DataType.FLOAT),
        type('Tseed', DataType.INT32),
        type('output_dtype', DataType.INT32),
      ];
      const operands = [logits, tf.scalar(numSamples, 'int32'), bits];
      return engine.run({ name: 'StatelessMultinomial', attributes }, operands)[0]!;
    }),
};
