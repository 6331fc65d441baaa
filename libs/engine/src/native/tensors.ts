// Tensors in TensorFlow's memory, which tfjs knows by number: table of tensors, upload and download of values.
import type { Context } from '../devices/context.ts';
import { bytesAt, type Output, type Pointer } from './declarations.ts';
import { EngineError, stoppedError } from '../errors.ts';
import { check } from './status.ts';
import { allocateStrings, readStrings } from './strings.ts';
import { bytesPerElement, DataType, nameOfType, type TypedArray } from './types.ts';

/** A tensor with values, held by a TFE_TensorHandle. */
export interface EagerTensor {
  readonly handle: Pointer;
  readonly dtype: number;
  readonly shape: number[];
}

/** A tensor of a step being captured: an output of a graph node, without values. */
export interface SymbolicTensor {
  readonly output: Output;
  readonly graph: object;
  readonly dtype: number;
  readonly shape: number[];
}

/** A variable in a TensorFlow resource. Updates by a captured step are visible at the next `value()`. */
export interface VariableTensor {
  /** The resource's handle. */
  readonly resource: EagerTensor;
  readonly dtype: number;
  readonly shape: number[];
  /** The present value, cached until `changed`; the handle belongs to the variable. */
  value(): EagerTensor;
  /** Drops the cached value. Call it after an update, and before one, since TensorFlow copies a value still in use. */
  changed(): void;
  /** Frees the resource and the cached value. */
  close(): void;
}

export type AnyTensor = EagerTensor | SymbolicTensor | VariableTensor;

export const isSymbolic = (tensor: AnyTensor): tensor is SymbolicTensor => 'output' in tensor;
export const isVariable = (tensor: AnyTensor): tensor is VariableTensor => 'resource' in tensor;

/** Description of a tensor that is passed to tfjs. */
export interface TensorMetadata {
  id: number;
  shape: number[];
  dtype: number;
}

export interface TensorTable {
  add(tensor: AnyTensor): TensorMetadata;
  get(id: number): AnyTensor;
  /** Puts another tensor under the number; the caller then owns the old one. */
  replace(id: number, tensor: AnyTensor): void;
  /** Deletes the tensor and its native memory. */
  delete(id: number): void;
  readonly size: number;
  clear(): void;
}

export function tensorTable({ api }: Context): TensorTable {
  const tensors = new Map<number, AnyTensor>();
  let next = 1;
  const free = (tensor: AnyTensor) => {
    if (isVariable(tensor)) tensor.close();
    else if (!isSymbolic(tensor)) api.TFE_DeleteTensorHandle(tensor.handle);
  };
  const get = (id: number) => {
    const tensor = tensors.get(id);
    if (tensor === undefined)
      throw new EngineError('tensorflow', `there is no tensor ${id}: it was disposed`);
    return tensor;
  };
  return {
    add(tensor) {
      const id = next++;
      tensors.set(id, tensor);
      return { id, shape: tensor.shape, dtype: tensor.dtype };
    },
    get,
    replace(id, tensor) {
      tensors.set(id, tensor);
    },
    delete(id) {
      free(get(id));
      tensors.delete(id);
    },
    get size() {
      return tensors.size;
    },
    clear() {
      for (const tensor of tensors.values()) free(tensor);
      tensors.clear();
    },
  };
}

/**
 * Copies values into a new TF_Tensor, which the caller deletes.
 * @throws EngineError 'tensorflow' for an unsupported type or a wrong number of values.
 */
export function allocateTensor(
  context: Context,
  shape: readonly number[],
  content: { dtype: number; values: unknown },
): Pointer {
  const { dtype, values } = content;
  if (dtype === DataType.STRING) return allocateStrings(context, shape, values as Uint8Array[]);
  const width = bytesPerElement(dtype);
  if (width === undefined) {
    throw new EngineError('tensorflow', `tensors of ${nameOfType(dtype)} are not supported by this engine`, {
      remedy: 'keep such values in plain JavaScript arrays',
    });
  }
  const length = shape.reduce((product, size) => product * size, 1) * width;
  const source = bytesOf(dtype, values);
  if (source.byteLength !== length) {
    throw new EngineError(
      'tensorflow',
      `a ${nameOfType(dtype)} tensor of shape [${shape.join(', ')}] takes ${length} bytes, not ${source.byteLength}`,
    );
  }
  const { api } = context;
  const tensor = api.TF_AllocateTensor(dtype, int64s(shape), shape.length, length);
  bytesAt(api.TF_TensorData(tensor), length).set(source);
  return tensor;
}

/** Uploads values of type float32, int32, uint8, bool, complex64 (interleaved), int64, or string (as bytes). */
export function upload(
  context: Context,
  shape: readonly number[],
  content: { dtype: number; values: unknown },
): EagerTensor {
  const tensor = allocateTensor(context, shape, content);
  const handle = context.api.TFE_NewTensorHandle(tensor, context.status);
  context.api.TF_DeleteTensor(tensor);
  context.check('upload a tensor');
  return { handle, dtype: content.dtype, shape: [...shape] };
}

/** Waits for the tensor and copies its values; strings are returned as bytes. */
export function download(context: Context, tensor: EagerTensor): TypedArray | Uint8Array[] {
  requireReadable(tensor);
  const resolved = context.api.TFE_TensorHandleResolve(tensor.handle, context.status);
  context.check('read a tensor');
  return valuesOf(context, tensor, resolved);
}

/**
 * As `download`, but waits on another thread, so that the event loop is free while a GPU computes the tensor. The tensor may be
 * deleted meanwhile.
 * @throws EngineError 'stopped' if the engine is closed meanwhile.
 */
export function downloadAsync(context: Context, tensor: EagerTensor): Promise<TypedArray | Uint8Array[]> {
  const result = downloadOnOtherThread(context, tensor);
  context.running.add(result);
  return result.finally(() => context.running.delete(result));
}

async function downloadOnOtherThread(context: Context, tensor: EagerTensor) {
  const { api } = context;
  requireReadable(tensor);
  const handle = api.TFE_TensorHandleCopySharingTensor(tensor.handle, context.status);
  context.check('read a tensor');
  const status = api.TF_NewStatus();
  try {
    const resolved = await api.resolveAsync(handle, status);
    check(api, status, 'read a tensor');
    const values = valuesOf(context, tensor, resolved);
    if (context.stopped) throw stoppedError();
    return values;
  } finally {
    api.TFE_DeleteTensorHandle(handle);
    api.TF_DeleteStatus(status);
  }
}

function requireReadable({ dtype }: EagerTensor) {
  if (dtype !== DataType.STRING && bytesPerElement(dtype) === undefined)
    throw new EngineError('tensorflow', `a ${nameOfType(dtype)} tensor cannot be read`);
}

/** Copies the values of a TF_Tensor and frees it. */
function valuesOf(context: Context, tensor: EagerTensor, resolved: Pointer): TypedArray | Uint8Array[] {
  const { api } = context;
  const bytes =
    tensor.dtype === DataType.STRING
      ? readStrings(context, resolved)
      : bytesAt(api.TF_TensorData(resolved), Number(api.TF_TensorByteSize(resolved))).slice();
  api.TF_DeleteTensor(resolved);
  if (Array.isArray(bytes)) return bytes;
  switch (tensor.dtype) {
    case DataType.INT32:
      return new Int32Array(bytes.buffer);
    case DataType.UINT8:
    case DataType.BOOL:
      return bytes;
    case DataType.INT64:
      return new BigInt64Array(bytes.buffer);
    default:
      return new Float32Array(bytes.buffer);
  }
}

/** Wraps a handle that TensorFlow returned, with its type and shape. */
export function describe({ api, status, check }: Context, handle: Pointer): EagerTensor {
  const rank = api.TFE_TensorHandleNumDims(handle, status);
  check('ask for a shape');
  const shape = Array.from({ length: rank }, (_, i) => Number(api.TFE_TensorHandleDim(handle, i, status)));
  return { handle, dtype: api.TFE_TensorHandleDataType(handle), shape };
}

export function int64s(values: readonly number[]): BigInt64Array {
  return BigInt64Array.from(values, BigInt);
}

function bytesOf(dtype: number, values: unknown): Uint8Array {
  const array = typedArray(dtype, values as ArrayLike<number>);
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function typedArray(dtype: number, values: ArrayLike<number>): TypedArray {
  switch (dtype) {
    case DataType.INT32:
      return values instanceof Int32Array ? values : Int32Array.from(values);
    case DataType.UINT8:
    case DataType.BOOL:
      return values instanceof Uint8Array ? values : Uint8Array.from(values);
    case DataType.INT64:
      return values instanceof BigInt64Array
        ? values
        : BigInt64Array.from(values as ArrayLike<number>, BigInt);
    default:
      return values instanceof Float32Array ? values : Float32Array.from(values);
  }
}
