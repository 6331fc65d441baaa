// Cast and transpose that support unsigned bytes. tfjs lacks this type, so TensorFlow is asked for the actual data
// type.
import tf, { type KernelConfig, type TensorInfo } from '@tensorflow/tfjs';
import type { TensorFlowBackend } from '../backend/backend.ts';
import { DataType } from '../native/types.ts';
import { bool, type } from './attributes.ts';

const castTypes: Record<string, number> = {
  float32: DataType.FLOAT,
  int32: DataType.INT32,
  bool: DataType.BOOL,
  complex64: DataType.COMPLEX64,
};

export const castKernel: KernelConfig = {
  kernelName: 'Cast',
  backendName: 'tensorflow',
  kernelFunc({ inputs, attrs, backend }) {
    const engine = backend as TensorFlowBackend;
    const x = inputs['x'] as TensorInfo;
    const to = castTypes[String(attrs?.['dtype'])];
    if (to === undefined) throw new Error(`tf.cast: cannot cast to ${String(attrs?.['dtype'])}`);
    const attributes = [
      type('SrcT', engine.engine.typeOf(engine.idOf(x))),
      type('DstT', to),
      bool('Truncate', false),
    ];
    return engine.run({ name: 'Cast', attributes }, [x])[0]!;
  },
};

export const transposeKernel: KernelConfig = {
  kernelName: 'Transpose',
  backendName: 'tensorflow',
  kernelFunc({ inputs, attrs, backend }) {
    const engine = backend as TensorFlowBackend;
    const x = inputs['x'] as TensorInfo;
    const perm = tf.tensor1d(attrs?.['perm'] as number[], 'int32');
    const attributes = [type('T', engine.engine.typeOf(engine.idOf(x))), type('Tperm', DataType.INT32)];
    const result = engine.run({ name: 'Transpose', attributes }, [x, perm])[0]!;
    perm.dispose();
    return result;
  },
};
