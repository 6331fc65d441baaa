// Sets attributes of eager ops (TFE_Op…) and of graph nodes (TF_…), which differ only in the names of the C functions.
import type { Context } from '../devices/context.ts';
import type { Pointer } from './declarations.ts';
import { EngineError } from '../errors.ts';
import { int64s } from './tensors.ts';
import { type Attribute, AttributeType } from './types.ts';

export interface AttributeTarget {
  family: 'TFE_Op' | 'TF_';
  /** A TFE_Op or a TF_OperationDescription. */
  pointer: Pointer;
}

/** Sets one attribute. @throws EngineError 'tensorflow' for an unknown type of attribute. */
export function setAttribute(
  { api, status }: Context,
  target: AttributeTarget,
  { name, type, value }: Attribute,
) {
  const { family, pointer } = target;
  switch (type) {
    case AttributeType.STRING: {
      const bytes = typeof value === 'string' ? Buffer.from(value) : (value as Uint8Array);
      return api[`${family}SetAttrString`](pointer, name, bytes, bytes.length);
    }
    case AttributeType.INT:
      if (!Array.isArray(value)) return api[`${family}SetAttrInt`](pointer, name, value as number);
      return api[`${family}SetAttrIntList`](pointer, name, int64s(value), value.length);
    case AttributeType.FLOAT:
      return api[`${family}SetAttrFloat`](pointer, name, value as number);
    case AttributeType.BOOL:
      return api[`${family}SetAttrBool`](pointer, name, value ? 1 : 0);
    case AttributeType.TYPE:
      return api[`${family}SetAttrType`](pointer, name, value as number);
    case AttributeType.SHAPE: {
      const shape = value as number[];
      return family === 'TFE_Op'
        ? api.TFE_OpSetAttrShape(pointer, name, int64s(shape), shape.length, status)
        : api.TF_SetAttrShape(pointer, name, int64s(shape), shape.length);
    }
    default:
      throw new EngineError(
        'tensorflow',
        `attribute ${name} has the type ${type}, which this engine does not support`,
      );
  }
}
