// Kernel of blendRows, weighted sums of rows. Rows are gathered as bytes, a few thousand at a time, so that
// intermediate results stay in the cache. Takes half the time of TensorFlow's product of a sparse and a dense matrix.
import tf, { type KernelConfig, type Tensor, type Tensor1D, type Tensor2D } from '@tensorflow/tfjs';
import type { TensorFlowBackend } from '../backend/backend.ts';
import { DataType } from '../native/types.ts';
import { bool, int, type } from './attributes.ts';

export const BLEND_ROWS = 'BlendRows';

/** Number of values per piece. */
const PIECE = 2 ** 18;

export const blendRowsKernel: KernelConfig = {
  kernelName: BLEND_ROWS,
  backendName: 'tensorflow',
  kernelFunc({ inputs, backend }) {
    const { x, rows, weights } = inputs as Record<'x' | 'rows' | 'weights', Tensor2D>;
    const engine = backend as TensorFlowBackend;
    const [terms, results] = rows.shape;
    const size = engine.engine.isUsingGpuDevice() ? results : Math.max(1, Math.ceil(PIECE / x.shape[1]));
    return tf.tidy(() => {
      const bytes = cast(engine, x, DataType.UINT8);
      const pieces: Tensor[] = [];
      for (let at = 0; at < results; at += size) {
        const length = Math.min(size, results - at);
        const products = Array.from({ length: terms }, (_, j) => {
          const row = tf.reshape(tf.slice(rows, [j, at], [1, length]), [length]) as Tensor1D;
          const values = cast(engine, gather(engine, bytes, row), DataType.FLOAT);
          return tf.mul(values, tf.reshape(tf.slice(weights, [j, at], [1, length]), [length, 1]));
        });
        pieces.push(cast(engine, tf.add(tf.addN(products), 0.5), DataType.UINT8));
      }
      return cast(engine, concat(engine, pieces), DataType.FLOAT);
    });
  },
};

function gather(engine: TensorFlowBackend, bytes: Tensor, rows: Tensor1D): Tensor {
  const attributes = [
    type('Tparams', DataType.UINT8),
    type('Tindices', DataType.INT32),
    type('Taxis', DataType.INT32),
    int('batch_dims', 0),
  ];
  return engine.run({ name: 'GatherV2', attributes }, [bytes, rows, tf.scalar(0, 'int32')])[0]!;
}

function concat(engine: TensorFlowBackend, pieces: Tensor[]): Tensor {
  if (pieces.length === 1) return pieces[0]!;
  const attributes = [type('T', DataType.UINT8), int('N', pieces.length), type('Tidx', DataType.INT32)];
  return engine.run({ name: 'ConcatV2', attributes }, [...pieces, tf.scalar(0, 'int32')])[0]!;
}

/** Converts the type; fractions are truncated. */
function cast(engine: TensorFlowBackend, x: Tensor, to: number): Tensor {
  const attributes = [
    type('SrcT', engine.engine.typeOf(engine.idOf(x))),
    type('DstT', to),
    bool('Truncate', false),
  ];
  return engine.run({ name: 'Cast', attributes }, [x])[0]!;
}
