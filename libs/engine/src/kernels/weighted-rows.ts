// Weighted sums of rows on a CPU: a sparse matrix times a dense one, in TensorFlow one pass without intermediate results.
import tf, { type KernelConfig, type Tensor2D } from '@tensorflow/tfjs';
import type { TensorFlowBackend } from '../backend.ts';
import { sumOfGathers } from '../weighted-rows.ts';
import { DataType } from '../types.ts';
import { bool, type } from './attributes.ts';

export const WEIGHTED_ROWS = 'WeightedRows';

export const weightedRowsKernel: KernelConfig = {
  kernelName: WEIGHTED_ROWS,
  backendName: 'tensorflow',
  kernelFunc({ inputs, backend }) {
    const args = inputs as Record<'x' | 'rows' | 'weights', Tensor2D>;
    const engine = backend as TensorFlowBackend;
    const { engine: binding } = engine;
    // On GPUs TensorFlow's product adds in no fixed order.
    if (binding.isUsingGpuDevice()) return tf.tidy(() => sumOfGathers(args));
    const { x, rows, weights } = args;
    const [count, terms] = rows.shape;
    return tf.tidy(() => {
      const own = tf.tile(tf.reshape(tf.range(0, count, 1, 'int32'), [count, 1]), [1, terms]);
      const indices = tf.reshape(tf.stack([own, rows], 2), [count * terms, 2]);
      const values = tf.reshape(weights, [count * terms]);
      const sizes = BigInt64Array.of(BigInt(count), BigInt(x.shape[0]));
      const shape = binding.createTensor([2], DataType.INT64, sizes); // no tensor of tfjs: it has no such type
      const attributes = [
        type('T', DataType.FLOAT),
        type('Tindices', DataType.INT32),
        bool('adjoint_a', false),
        bool('adjoint_b', false),
      ];
      const ids = [engine.idOf(indices), engine.idOf(values), shape, engine.idOf(x)];
      const [product] = binding.executeOp('SparseTensorDenseMatMul', attributes, ids, 1);
      binding.deleteTensor(shape);
      return engine.tensorOf(product!);
    });
  },
};
