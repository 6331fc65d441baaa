// Numeric codes of TensorFlow's data types and of tfjs-node's types of op attributes.

/** TF_DataType (tensorflow/c/tf_datatype.h). */
export const DataType = {
  FLOAT: 1,
  INT32: 3,
  UINT8: 4,
  STRING: 7,
  COMPLEX64: 8,
  INT64: 9,
  BOOL: 10,
  BFLOAT16: 14,
  RESOURCE: 20,
} as const;

/** Types of attributes, numbered as in tfjs-node. */
export const AttributeType = {
  STRING: 0,
  INT: 1,
  FLOAT: 2,
  BOOL: 3,
  TYPE: 4,
  SHAPE: 5,
  RESOURCE: 6,
} as const;

export interface Attribute {
  name: string;
  type: number;
  value: unknown;
}

export type TypedArray = Float32Array | Int32Array | Uint8Array | BigInt64Array;

/** Bytes per element; undefined for types without a fixed size or without support (strings, resources). */
export function bytesPerElement(dtype: number): number | undefined {
  switch (dtype) {
    case DataType.FLOAT:
    case DataType.INT32:
      return 4;
    case DataType.UINT8:
    case DataType.BOOL:
      return 1;
    case DataType.COMPLEX64:
    case DataType.INT64:
      return 8;
    default:
      return undefined;
  }
}

export function nameOfType(dtype: number): string {
  return (
    Object.entries(DataType)
      .find(([, value]) => value === dtype)?.[0]
      .toLowerCase() ?? `type ${dtype}`
  );
}
