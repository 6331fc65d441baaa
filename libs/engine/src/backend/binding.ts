// What tfjs-node's kernels call: its native binding's interface, over the C library, and one thing more: a trace.
import { type Context, openContext } from '../devices/context.ts';
import type { TensorFlowApi } from '../native/declarations.ts';
import type { Device } from '../devices/device.ts';
import { execute } from './eager.ts';
import { EngineError } from '../errors.ts';
import { openTrace, type Trace, type TraceOptions, usedOutside } from '../capture/graph.ts';
import {
  type AnyTensor,
  download,
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
  /** Numbers of the tensors that are variables to the trace. */
  let variableIds: ReadonlySet<number> = new Set();

  const add = (tensor: AnyTensor): TensorMetadata => tensors.add(tensor);
  const eager = (id: number) => {
    const tensor = tensors.get(id);
    if (isVariable(tensor)) return tensor.value();
    if (!isSymbolic(tensor)) return tensor;
    throw usedOutside();
  };
  const resident = (id: number): VariableTensor => {
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
    return trace.symbolOf(id, variableIds.has(id) ? resident(id) : tensors.get(id));
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

    // --- beyond it ---
    /** The trace of the step that is being captured, if any. */
    get trace(): Trace | undefined {
      return trace;
    },
    /** Opens a trace, to which these tensors are variables; ops are recorded until `endTrace`. */
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
    /** The tensor as a variable in a TensorFlow resource, which it becomes at the first call. */
    resident,
    /** Gives the resource another number; under the old one its present value stays. */
    moveResident(id: number): TensorMetadata {
      const variable = resident(id);
      const value = variable.value();
      const handle = api.TFE_TensorHandleCopySharingTensor(value.handle, context.status);
      context.check('keep a value of a variable');
      variable.changed();
      tensors.replace(id, { ...value, handle });
      return add(variable);
    },
    /** Uploads values at once, also while a step is being captured. */
    uploadTensor: (shape: readonly number[], dtype: number, values: unknown) =>
      add(upload(context, shape, { dtype, values })).id,
    /** TensorFlow's own type of a tensor, which tfjs may know under another name (uint8 is int32 to tfjs). */
    typeOf: (id: number) => tensors.get(id).dtype,
    /** Frees everything; where a step runs on another thread, when it has ended: TensorFlow cannot break it off. */
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
