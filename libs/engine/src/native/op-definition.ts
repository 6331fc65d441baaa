// Reads from TensorFlow's definition of an op (op_def.proto) which of its inputs are lists.

export interface InputDefinition {
  /** Whether the input is a list of tensors. */
  list: boolean;
  /** Name of the attribute with the list's length, which TensorFlow sets by itself. */
  countedBy: string | undefined;
}

/** Reads the inputs of a serialised tensorflow.OpDef. */
export function readInputDefinitions(opDef: Uint8Array): InputDefinition[] {
  const inputs: InputDefinition[] = [];
  for (const field of fieldsOf(opDef)) {
    if (field.number !== INPUT_ARG) continue;
    let countedBy: string | undefined;
    let list = false;
    for (const part of fieldsOf(field.bytes)) {
      if (part.number === NUMBER_ATTR) countedBy = new TextDecoder().decode(part.bytes);
      if (part.number === NUMBER_ATTR || part.number === TYPE_LIST_ATTR) list = true;
    }
    inputs.push({ list, countedBy });
  }
  return inputs;
}

const INPUT_ARG = 2; // of OpDef
const NUMBER_ATTR = 5; // of OpDef.ArgDef
const TYPE_LIST_ATTR = 6;

/** The length-delimited fields of a protocol buffer; all other fields are skipped. */
function* fieldsOf(bytes: Uint8Array): Generator<{ number: number; bytes: Uint8Array }> {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    switch (tag & 7) {
      case 0:
        varint();
        break;
      case 1:
        at += 8;
        break;
      case 2: {
        const length = varint();
        yield { number: tag >>> 3, bytes: bytes.subarray(at, at + length) };
        at += length;
        break;
      }
      case 5:
        at += 4;
        break;
      default:
        return;
    }
  }
}
