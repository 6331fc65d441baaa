// Tensors of strings: written as a TensorProto, so that TensorFlow allocates and owns the bytes, and read one by one.
import type { Context } from '../devices/context.ts';
import { bytesAt, type Pointer } from './declarations.ts';
import { EngineError } from '../errors.ts';
import { DataType } from './types.ts';

/** sizeof(TF_TString) */
const ELEMENT_BYTES = 24;

/**
 * Makes a TF_Tensor of strings, given as UTF-8 bytes like tfjs's; the caller deletes it.
 * @throws EngineError if the number of strings does not match the shape.
 */
export function allocateStrings(
  { api, status, check }: Context,
  shape: readonly number[],
  values: readonly Uint8Array[],
): Pointer {
  const length = shape.reduce((product, size) => product * size, 1);
  if (values.length !== length) {
    const problem = `a tensor of shape [${shape.join(', ')}] takes ${length} strings, not ${values.length}`;
    throw new EngineError('tensorflow', problem);
  }
  const proto = tensorProto(shape, values);
  const buffer = api.TF_NewBufferFromString(proto, proto.length);
  const tensor = api.TF_AllocateTensor(DataType.UINT8, null, 0, 1); // type and shape are replaced by the proto's
  api.TF_TensorFromProto(buffer, tensor, status);
  api.TF_DeleteBuffer(buffer);
  check('upload strings');
  return tensor;
}

/** Copies the strings of a TF_Tensor, as bytes. */
export function readStrings({ api }: Context, tensor: Pointer): Uint8Array[] {
  const first = api.TF_TensorData(tensor) ?? 0n;
  return Array.from({ length: Number(api.TF_TensorByteSize(tensor)) / ELEMENT_BYTES }, (_, i) => {
    const element = first + BigInt(i * ELEMENT_BYTES);
    return bytesAt(api.TF_StringGetDataPointer(element), Number(api.TF_StringGetSize(element))).slice();
  });
}

/** A serialised tensorflow.TensorProto (tensor.proto): dtype, tensor_shape, string_val. */
function tensorProto(shape: readonly number[], values: readonly Uint8Array[]): Buffer {
  const dims = shape.map((size) => field(2, Buffer.from([0x08, ...varint(size)]))); // TensorShapeProto.dim.size
  return Buffer.concat([
    Buffer.from([0x08, DataType.STRING]), // field 1: dtype
    field(2, Buffer.concat(dims)), // tensor_shape
    ...values.map((value) => field(8, value)), // string_val
  ]);
}

/** A length-delimited field of a protocol buffer. */
function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...varint(bytes.length)]), bytes]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...varint(value >>> 7)];
}
