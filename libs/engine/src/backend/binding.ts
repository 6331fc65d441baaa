// The native binding interface that tfjs-node's kernels call, implemented on TensorFlow's C library and extended by
// traces.
import { type Context, openContext } from '../devices/context.ts';
import type { TensorFlowApi } from '../native/declarations.ts';
import type { Device } from '../devices/device.ts';
import { execute } from './eager.ts';
import { EngineError } from '../errors.ts';
import { openTrace, type Trace, type TraceOptions, usedOutside } from '../capture/graph.ts';
import {
  type AnyTensor,
  download,
  downloadAsync,
  isSymbolic,
  isVariable,
  type SymbolicTensor,
  type TensorMetadata,
  tensorTable,
  upload,
  type VariableTensor,
} from '../native/tensors.ts';
import { type Attribute, AttributeType, DataType } from '../native/types.ts';
import { openVariable } from '../native/variables.ts';

export type Binding = ReturnType<typeof openBinding>;

/** Opens a context on the device and gives it tfjs-node's binding interface. */
export function openBinding(api: TensorFlowApi, device: Device) {
  const context: Context = openContext(api, device);
  const tensors = tensorTable(context);
  let trace: Trace | undefined;
  /** Numbers of the tensors that the trace treats as variables. */
  let variableIds: ReadonlySet<number> = new Set();

  const add = (tensor: AnyTensor): TensorMetadata => tensors.add(tensor);
  const eager = (id: number) => {
    const tensor = tensors.get(id);
    if (isVariable(tensor)) return tensor.value();
    if (!isSymbolic(tensor)) return tensor;
    throw usedOutside();
  };
  const asVariable = (id: number): VariableTensor => {
    const tensor = tensors.get(id);
    if (isVariable(tensor)) return tensor;
    const value = eager(id);
    const variable = openVariable(context, value);
    tensors.replace(id, variable);
    api.TFE_DeleteTensorHandle(value.handle);
    return variable;
  };
  const symbolOf = (id: number): SymbolicTensor => {
    if (trace === undefined) throw new EngineError('capture', 'no step is being captured');
    return trace.symbolOf(id, variableIds.has(id) ? asVariable(id) : tensors.get(id));
  };

  return {
    context,
    tensors,

    // --- tfjs-node's interface (dist/tfjs_binding.d.ts) ---
    TF_FLOAT: DataType.FLOAT,
    TF_INT32: DataType.INT32,
    TF_UINT8: DataType.UINT8,
    TF_STRING: DataType.STRING,
    TF_COMPLEX64: DataType.COMPLEX64,
    TF_INT64: DataType.INT64,
    TF_BOOL: DataType.BOOL,
    TF_RESOURCE: DataType.RESOURCE,
    TF_ATTR_STRING: AttributeType.STRING,
    TF_ATTR_INT: AttributeType.INT,
    TF_ATTR_FLOAT: AttributeType.FLOAT,
    TF_ATTR_BOOL: AttributeType.BOOL,
    TF_ATTR_TYPE: AttributeType.TYPE,
    TF_ATTR_SHAPE: AttributeType.SHAPE,
    TF_ATTR_RESOURCE: AttributeType.RESOURCE,
    TF_Version: api.TF_Version(),
    isUsingGpuDevice: () => context.device.includes(':GPU:'),
    getNumOfTensors: () => tensors.size,
    createTensor(shape: number[], dtype: number, values: unknown): number {
      if (trace) return add(trace.constant(shape, { dtype, values })).id;
      return add(upload(context, shape, { dtype, values })).id;
    },
    deleteTensor(id: number) {
      tensors.delete(id);
    },
    tensorDataSync(id: number) {
      return download(context, eager(id));
    },
    /** As `tensorDataSync`, but does not block the event loop while a GPU computes. */
    async tensorData(id: number) {
      return downloadAsync(context, eager(id));
    },
    // eslint-disable-next-line max-params -- tfjs-node's signature
    executeOp(
      name: string,
      attributes: readonly Attribute[],
      inputs: readonly number[],
      outputs: number,
    ): TensorMetadata[] {
      if (trace) return trace.operation({ name, attributes, inputs: inputs.map(symbolOf), outputs }).map(add);
      return execute(context, { name, attributes, inputs: inputs.map(eager), outputs }).map(add);
    },

    // --- extensions ---
    /** The trace of the step being captured, if any. */
    get trace(): Trace | undefined {
      return trace;
    },
    /** Opens a trace that treats these tensors as variables; ops are recorded until `endTrace`. */
    beginTrace(ids: ReadonlySet<number>, options: TraceOptions): Trace {
      variableIds = ids;
      trace = openTrace(context, options);
      return trace;
    },
    endTrace() {
      trace = undefined;
      variableIds = new Set();
    },
    symbolOf,
    eager,
    add,
    /** The tensor as a variable in a TensorFlow resource; the first call moves its value into a new resource. */
    asVariable,
    /**
     * Moves the variable to a new number, which is returned; the old number keeps the present value as a plain
     * tensor.
     */
    moveVariable(id: number): TensorMetadata {
      const variable = asVariable(id);
      const value = variable.value();
      const handle = api.TFE_TensorHandleCopySharingTensor(value.handle, context.status);
      context.check('copy the value of a variable');
      variable.changed();
      tensors.replace(id, { ...value, handle });
      return add(variable);
    },
    /** Uploads values immediately, even while a step is being captured. */
    uploadTensor: (shape: readonly number[], dtype: number, values: unknown) =>
      add(upload(context, shape, { dtype, values })).id,
    /** TensorFlow's data type of a tensor; tfjs may report another one (int32 for uint8). */
    typeOf: (id: number) => tensors.get(id).dtype,
    /** Frees everything. While a step runs on another thread this is postponed to its end: it cannot be interrupted. */
    close() {
      context.stopped = true;
      const free = () => {
        tensors.clear();
        context.close();
      };
      if (context.running.size === 0) free();
      else void Promise.allSettled(context.running).then(free);
    },
  };
}
