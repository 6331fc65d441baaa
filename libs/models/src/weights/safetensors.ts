// Reads and writes the safetensors file format (https://huggingface.co/docs/safetensors): the header's length in eight bytes, a
// JSON header, then the tensors' bytes one after the other, little endian, in C order.
import { codeOf, MAX_BYTES, messageOf, readRegularFile, UserError, writeFileAtomic } from '@ct-ensemble/core';
import { digestProblem } from './digest.ts';

/** Bounds of the JSON header. The networks of this project have headers of at most 200 kB with 3 levels and 4 sizes a shape. */
const HEADER_BOUNDS = { bytes: 2 ** 24, levels: 8, rank: 16 } as const;

const arrays = {
  F64: Float64Array,
  F32: Float32Array,
  I64: BigInt64Array,
  U64: BigUint64Array,
  I32: Int32Array,
  U32: Uint32Array,
  I16: Int16Array,
  U16: Uint16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
  /** IEEE half precision and bfloat16 have no typed array of their own: their bits. */
  F16: Uint16Array,
  BF16: Uint16Array,
} as const;

/** Type of a tensor's values, as the format names it. */
export type Dtype = keyof typeof arrays;
type ArrayOf<D extends Dtype> = InstanceType<(typeof arrays)[D]>;
/** A tensor of a file: its values in C order, in the typed array that belongs to its dtype. */
export type StoredTensor = { [D in Dtype]: StoredTensorOf<D> }[Dtype];
export interface StoredTensorOf<D extends Dtype> {
  readonly dtype: D;
  readonly shape: readonly number[];
  readonly data: ArrayOf<D>;
}
export type StoredTensors = ReadonlyMap<string, StoredTensor>;
export type Metadata = Readonly<Record<string, string>>;

/** The content of a file. */
export interface Safetensors {
  tensors: Map<string, StoredTensor>;
  metadata: Metadata;
}

export interface ReadOptions {
  /** What to do about a malformed or changed file; default: fetch or write the file again. */
  remedy?: string;
}

/**
 * Reads a safetensors file from a path or from its bytes. Tensors that are aligned in the file are views of one buffer; others
 * are copies.
 * @throws {UserError} if the file does not exist, is malformed, or does not agree with the digests in its metadata (see `withDigests`).
 */
export async function readSafetensors(
  source: string | Uint8Array,
  options: ReadOptions = {},
): Promise<Safetensors> {
  if (typeof source !== 'string') return decode(source, options);
  let bytes: Uint8Array;
  try {
    bytes = await readRegularFile(source, { maxBytes: MAX_BYTES.weights });
  } catch (error) {
    if (error instanceof UserError) throw error;
    const problem =
      codeOf(error) === 'ENOENT' ? 'there is no such file' : `cannot be read (${messageOf(error)})`;
    throw new UserError(problem, { file: source, remedy: 'check the path', cause: error });
  }
  return decode(bytes, { ...options, file: source });
}

/** Writes tensors and metadata to a safetensors file, atomically. Equal arguments give equal bytes. */
export async function writeSafetensors(path: string, tensors: StoredTensors, metadata: Metadata = {}) {
  await writeFileAtomic(path, encodeSafetensors(tensors, metadata));
}

/** The parts of the file, of which all but the first are views of the tensors' values. Tensors are sorted by the width of their type, wide ones first, so that each is aligned; then by name. */
export function encodeSafetensors(tensors: StoredTensors, metadata: Metadata): Uint8Array[] {
  const width = (tensor: StoredTensor) => tensor.data.BYTES_PER_ELEMENT;
  const sorted = [...tensors].sort(([a, s], [b, t]) => width(t) - width(s) || (a < b ? -1 : 1));
  const header = new Map<string, unknown>();
  if (Object.keys(metadata).length > 0) header.set('__metadata__', sortedByKey(metadata));
  let end = 0;
  for (const [name, { dtype, shape, data }] of sorted) {
    if (name === '__metadata__' || !(data instanceof arrays[dtype]) || data.length !== sizeOf(shape)) {
      throw new Error(`${name}: ${data.length} values cannot be stored as ${dtype} [${shape.join(', ')}]`);
    }
    header.set(name, { dtype, shape, data_offsets: [end, (end += data.byteLength)] });
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const head = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.set(json, 8);
  return [
    head,
    ...sorted.map(([, { data }]) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ];
}

function decode(bytes: Uint8Array, options: ReadOptions & { file?: string }): Safetensors {
  const { file, remedy = 'fetch or write the file again' } = options;
  const fail = (problem: string): never => {
    throw new UserError(`is not a valid safetensors file: ${problem}`, {
      ...(file === undefined ? {} : { file }),
      remedy,
    });
  };
  const length = bytes.length < 8 ? undefined : headerLength(bytes);
  if ((length === undefined || length > bytes.length - 8) && isPyTorch(bytes)) {
    const python =
      "import sys, torch; from safetensors.torch import save_file; w = torch.load(sys.argv[1], map_location='cpu', weights_only=True); " +
      "save_file({k: v.clone().contiguous() for k, v in w.get('state_dict', w).items()}, sys.argv[2])";
    throw new UserError(
      'is a file written by torch.save, which can contain executable code and is therefore not read',
      {
        ...(file === undefined ? {} : { file }),
        remedy: `convert it on a machine with PyTorch: python3 -c "${python}" ${file ?? 'FILE.pth'} ${(file ?? 'FILE').replace(/\.\w+$/, '')}.safetensors`,
      },
    );
  }
  if (length === undefined) {
    return fail(`it has ${bytes.length} bytes, fewer than the 8 of the header's length`);
  }
  if (length > bytes.length - 8) {
    fail(`the header of ${length} bytes is longer than the file of ${bytes.length} bytes`);
  }
  const start = 8 + Number(length);
  const header = parseHeader(bytes.subarray(8, start), fail);
  const body = bytes.subarray(start);

  const { __metadata__: metadata = {}, ...rest } = header;
  if (!isMetadata(metadata)) return fail('__metadata__ is not a map from text to text');
  const entries = Object.entries(rest).map(([name, value]) =>
    isEntry(value) ? { name, ...value } : fail(`${name}: needs dtype, shape and data_offsets [begin, end]`),
  );
  entries.sort((a, b) => a.data_offsets[0] - b.data_offsets[0] || a.data_offsets[1] - b.data_offsets[1]);
  let covered = 0;
  const tensors = new Map<string, StoredTensor>();
  for (const { name, dtype, shape, data_offsets } of entries) {
    const [begin, end] = data_offsets;
    if (!isDtype(dtype)) return fail(`${name}: unknown dtype ${dtype}`);
    if (begin !== covered) {
      fail(
        `${name}: starts at byte ${begin}, but the tensors before it end at ${covered} (a gap or an overlap)`,
      );
    }
    const needed = sizeOf(shape) * arrays[dtype].BYTES_PER_ELEMENT;
    if (end - begin !== needed) {
      fail(`${name}: ${end - begin} bytes, but ${dtype} [${shape.join(', ')}] takes ${needed}`);
    }
    if (end > body.length) {
      fail(`${name}: ends at byte ${end} of a body of ${body.length} bytes (the file is truncated)`);
    }
    tensors.set(name, { dtype, shape, data: view(dtype, body.subarray(begin, end)) } as StoredTensor);
    covered = end;
  }
  if (covered !== body.length) fail(`${body.length - covered} bytes at the end belong to no tensor`);
  const changed = digestProblem(tensors, metadata);
  if (changed !== undefined) fail(changed);
  return { tensors, metadata };
}

const headerLength = (bytes: Uint8Array) =>
  new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);

/**
 * Whether the bytes start like a zip archive or a pickle, as torch.save writes. The length of a valid header can start with the
 * same bytes; the caller checks that first.
 */
function isPyTorch(bytes: Uint8Array): boolean {
  const start = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(4, bytes.length)).toString('latin1');
  return start === 'PK\x03\x04' || (start[0] === '\x80' && '\x02\x03\x04\x05'.includes(start[1] ?? ' '));
}

function parseHeader(bytes: Uint8Array, fail: (problem: string) => never): Record<string, unknown> {
  if (bytes.length > HEADER_BOUNDS.bytes)
    fail(`the header has ${bytes.length} bytes, more than ${HEADER_BOUNDS.bytes}`);
  if (levelsOf(bytes) > HEADER_BOUNDS.levels)
    fail(`the header has objects and lists more than ${HEADER_BOUNDS.levels} levels deep`);
  let text = '';
  let header: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    header = JSON.parse(text);
  } catch (error) {
    fail(`the header is not JSON (${messageOf(error)})`);
  }
  let twice: string | undefined;
  try {
    twice = duplicateKey(text);
  } catch (error) {
    fail(`the header has a text of too many characters (${messageOf(error)})`); // more than a regular expression can match
  }
  if (twice !== undefined) fail(`the header has the key ${twice} twice`);
  return isObject(header) ? header : fail('the header is not a JSON object');
}

/** How deep objects and lists lie within each other in this JSON text, outside of strings. */
function levelsOf(json: Uint8Array): number {
  let [level, deepest, inString] = [0, 0, false];
  for (let i = 0; i < json.length; i++) {
    const byte = json[i];
    if (inString && byte === 0x5c)
      i++; // a backslash: the next character is not the end of the string
    else if (byte === 0x22) inString = !inString;
    else if (!inString && (byte === 0x5b || byte === 0x7b)) deepest = Math.max(deepest, ++level);
    else if (!inString && (byte === 0x5d || byte === 0x7d)) level--;
  }
  return deepest;
}

/** The first key that occurs twice in one object of a valid JSON text; JSON.parse would silently keep the last value. */
function duplicateKey(json: string): string | undefined {
  const open: Set<string>[] = [];
  for (const [token, text, colon] of json.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|[{}]/g)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (colon !== undefined) {
      const key = JSON.parse(text!) as string;
      const keys = open.at(-1)!;
      if (keys.has(key)) return key;
      keys.add(key);
    }
  }
  return undefined;
}

function view(dtype: Dtype, bytes: Uint8Array) {
  const TypedArray = arrays[dtype];
  const aligned = bytes.byteOffset % TypedArray.BYTES_PER_ELEMENT === 0 ? bytes : new Uint8Array(bytes);
  const { buffer, byteOffset, length } = aligned;
  return new TypedArray(buffer as ArrayBuffer, byteOffset, length / TypedArray.BYTES_PER_ELEMENT);
}

/** Converts a tensor of any floating-point type to float32; returns undefined for other types. */
export function asFloat32(tensor: StoredTensor): StoredTensorOf<'F32'> | undefined {
  const { dtype, shape, data } = tensor;
  switch (dtype) {
    case 'F32':
      return tensor as StoredTensorOf<'F32'>;
    case 'F64':
      return { dtype: 'F32', shape, data: Float32Array.from(data as Float64Array) };
    case 'BF16': // the upper 16 bits of a float32
      return {
        dtype: 'F32',
        shape,
        data: new Float32Array(Uint32Array.from(data as Uint16Array, (bits) => bits << 16).buffer),
      };
    case 'F16':
      return { dtype: 'F32', shape, data: Float32Array.from(data as Uint16Array, (bits) => halves()[bits]!) };
    default:
      return undefined;
  }
}

/**
 * The tensor in half precision, each value rounded to the nearest, ties to the even one.
 * @throws {RangeError} if a value is above 65504, the greatest number of half precision.
 */
export function asFloat16({ shape, data }: StoredTensorOf<'F32'>): StoredTensorOf<'F16'> {
  const halves = Uint16Array.from(data, toHalf);
  for (let i = 0; i < halves.length; i++)
    if ((halves[i]! & 0x7fff) === 0x7c00 && Number.isFinite(data[i]!))
      throw new RangeError(`the value ${data[i]} is beyond half precision, whose greatest number is 65504`);
  return { dtype: 'F16', shape, data: halves };
}

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);

/** The bits of the nearest IEEE 754 binary16 number. */
function toHalf(value: number): number {
  single[0] = value;
  const bits = singleBits[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65536 and more
  if (magnitude < 0x38800000) return sign | roundedToEven(Math.abs(value) * 2 ** 24); // below 2^-14: subnormal
  const rounded = magnitude + 0x0fff + ((magnitude >>> 13) & 1);
  return sign | ((rounded - 0x38000000) >>> 13);
}

/** The nearest whole number; of two equally near ones the even one. */
function roundedToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}

let table: Float32Array | undefined;
/** The values of all 65,536 half-precision numbers, by their bits. */
const halves = () => (table ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => ofHalf(bits)));

/** The value of an IEEE 754 binary16 number: one sign bit, five bits of exponent, ten bits of fraction. */
function ofHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 0) return sign * fraction * 2 ** -14;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction) * 2 ** (exponent - 15);
}

const sizeOf = (shape: readonly number[]) => shape.reduce((product, size) => product * size, 1);
const sortedByKey = (metadata: Metadata) =>
  Object.fromEntries(Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1)));
const isDtype = (value: string): value is Dtype => Object.hasOwn(arrays, value);
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isMetadata = (value: unknown): value is Metadata =>
  isObject(value) && Object.values(value).every((text) => typeof text === 'string');
const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) &&
  value.length <= HEADER_BOUNDS.rank &&
  value.every((size) => Number.isSafeInteger(size) && size >= 0);

interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}
const isEntry = (value: unknown): value is Entry =>
  isObject(value) &&
  typeof value['dtype'] === 'string' &&
  isSizes(value['shape']) &&
  isSizes(value['data_offsets']) &&
  value['data_offsets'].length === 2;
