// Short constructors of op attributes.
import { type Attribute, AttributeType } from '../native/types.ts';

export const type = (name: string, value: number): Attribute => ({ name, type: AttributeType.TYPE, value });
export const text = (name: string, value: string | Uint8Array): Attribute => ({
  name,
  type: AttributeType.STRING,
  value,
});
export const ints = (name: string, value: readonly number[]): Attribute => ({
  name,
  type: AttributeType.INT,
  value,
});
export const int = (name: string, value: number): Attribute => ({ name, type: AttributeType.INT, value });
export const float = (name: string, value: number): Attribute => ({ name, type: AttributeType.FLOAT, value });
export const bool = (name: string, value: boolean): Attribute => ({ name, type: AttributeType.BOOL, value });
