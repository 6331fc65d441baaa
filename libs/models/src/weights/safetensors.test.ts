import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { asFloat32, readSafetensors, writeSafetensors, type StoredTensors } from './safetensors.ts';

// Written by safetensors 0.8.0 for Python.
const header =
  '{"__metadata__":{"format":"pt"},"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},' +
  '"a.bias":{"dtype":"F32","shape":[1],"data_offsets":[8,12]},' +
  '"b.weight":{"dtype":"F32","shape":[1,3],"data_offsets":[12,24]}} ';
const body = Buffer.from('0700000000000000' + '00004040' + '0000c03f000000c00000803e', 'hex');
const tensors: StoredTensors = new Map([
  ['b.weight', { dtype: 'F32', shape: [1, 3], data: Float32Array.of(1.5, -2, 0.25) }],
  ['a.bias', { dtype: 'F32', shape: [1], data: Float32Array.of(3) }],
  ['n', { dtype: 'I64', shape: [], data: BigInt64Array.of(7n) }],
]);

function file(headerText: string, bodyBytes: Uint8Array = Buffer.alloc(0)) {
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(headerText)));
  return Buffer.concat([length, Buffer.from(headerText), bodyBytes]);
}

test('reads what the Python library writes', async () => {
  const found = await readSafetensors(file(header, body));
  expect(found.metadata).toEqual({ format: 'pt' });
  expect(found.tensors).toEqual(tensors);
});

test('writes the very bytes that the Python library writes, and reads them from the file', async () => {
  const path = join(await mkdtemp(join(tmpdir(), 'ct-ensemble-models-')), 'x.safetensors');
  await writeSafetensors(path, tensors, { format: 'pt' });
  expect(await readFile(path, 'latin1')).toBe(file(header, body).toString('latin1'));
  expect((await readSafetensors(path)).tensors).toEqual(tensors);
});

test('reads tensors that do not lie aligned', async () => {
  const odd =
    '{"u":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"f":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}}';
  const found = await readSafetensors(file(odd, Buffer.from('ff0000c03f', 'hex')));
  expect(found.tensors.get('f')!.data).toEqual(Float32Array.of(1.5));
});

const typed = '"dtype":"F32","shape":[1]';
const entry = (name: string, [begin, end]: [number, number], type = typed) =>
  `"${name}":{${type},"data_offsets":[${begin},${end}]}`;
const bytes = (n: number) => Buffer.alloc(n);

test.each([
  ['it has 3 bytes, fewer than the 8', Buffer.from('abc')],
  ['the header of 500 bytes is longer than the file', file(header, body).fill(0, 0, 8).fill('\xf4\x01', 0, 2, 'latin1')],
  ['the header is not JSON', file('{"a":')],
  ['the header is not JSON', file('{"\xff"}').fill(0xff, 10, 11)],
  ['the header is not a JSON object', file('[1]')],
  ['__metadata__ is not a map from text to text', file('{"__metadata__":{"a":1}}')],
  ['a: needs dtype, shape and data_offsets', file('{"a":{"dtype":"F32","shape":[1]}}', bytes(4))],
  ['a: needs dtype, shape and data_offsets', file(`{${entry('a', [0, 4], '"dtype":"F32","shape":[-1]')}}`, bytes(4))],
  ['a: unknown dtype F12', file(`{${entry('a', [0, 4], '"dtype":"F12","shape":[1]')}}`, bytes(4))],
  ['a: unknown dtype constructor', file(`{${entry('a', [0, 4], '"dtype":"constructor","shape":[1]')}}`, bytes(4))],
  ['a: 4 bytes, but F32 [2] takes 8', file(`{${entry('a', [0, 4], '"dtype":"F32","shape":[2]')}}`, bytes(4))],
  ['b: starts at byte 2, but the tensors before it end at 4', file(`{${entry('a', [0, 4])},${entry('b', [2, 6])}}`, bytes(6))],
  ['b: starts at byte 8, but the tensors before it end at 4', file(`{${entry('a', [0, 4])},${entry('b', [8, 12])}}`, bytes(12))],
  ['the header has the key a twice', file(`{${entry('a', [0, 4])},"\\u0061":{}}`, bytes(4))],
  ['the header has the key dtype twice', file(`{${entry('a', [0, 4], '"dtype":"F32","dtype":"I32","shape":[1]')}}`, bytes(4))],
  ['b.weight: ends at byte 24 of a body of 23 bytes (the file is truncated)', file(header, body.subarray(0, 23))],
  ['the header has objects and lists more than 8 levels deep', file(`{"a":${'['.repeat(1e6)}${']'.repeat(1e6)}}`)],
  ['the header has 16777217 bytes, more than 16777216', file(' '.repeat(2 ** 24 + 1))],
  ['a: needs dtype, shape and data_offsets', file(`{${entry('a', [0, 4], `"dtype":"F32","shape":[${Array(17).fill(1)}]`)}}`, bytes(4))],
  ['1 bytes at the end belong to no tensor', file(header, Buffer.concat([body, bytes(1)]))],
])('refuses a malformed file: %s', async (problem, malformed) => {
  const path = join(await mkdtemp(join(tmpdir(), 'ct-ensemble-models-')), 'bad.safetensors');
  await writeFile(path, malformed);
  const reading = readSafetensors(path);
  await expect(reading).rejects.toMatchObject({ name: 'UserError', file: path });
  await expect(reading).rejects.toThrow(problem);
}); // prettier-ignore

// Bits and values of IEEE 754 (binary16) and of bfloat16, the upper half of binary32.
test('half-precision numbers become float32', async () => {
  const text =
    '{"b":{"dtype":"BF16","shape":[3],"data_offsets":[0,6]},"h":{"dtype":"F16","shape":[7],"data_offsets":[6,20]}}';
  const bits = Uint16Array.of(0x3fc0, 0xc040, 0x7f80, 0x3e00, 0xc500, 0x0001, 0x03ff, 0x7bff, 0x8000, 0xfc00);
  const { tensors: found } = await readSafetensors(file(text, Buffer.from(bits.buffer)));
  expect(asFloat32(found.get('b')!)!.data).toEqual(Float32Array.of(1.5, -3, Infinity));
  const halves = [1.5, -5, 2 ** -24, 1023 * 2 ** -24, 65504, -0, -Infinity];
  expect(asFloat32(found.get('h')!)!.data).toEqual(Float32Array.from(halves));
});

test.each([
  ['a zip archive', 'PK\x03\x04rest'],
  ['a pickle', '\x80\x02}q'],
])('refuses what torch.save writes, %s, with the line that converts it', async (_, content) => {
  const path = join(await mkdtemp(join(tmpdir(), 'ct-ensemble-models-')), 'net.pth');
  await writeFile(path, content, 'latin1');
  const line = new RegExp(
    `^${path}: is a file written by torch.save.* → .*python3 -c ".*weights_only=True.*" ${path} .*net.safetensors$`,
  );
  await expect(readSafetensors(path)).rejects.toThrow(line);
});

test('a sound file whose first bytes are those of a pickle', async () => {
  const padded = header.padEnd(640);
  const bytes = file(padded, body);
  expect([...bytes.subarray(0, 2)]).toEqual([0x80, 0x02]);
  expect((await readSafetensors(bytes)).tensors).toEqual(tensors);
});

test('a folder is not a file', async () => {
  await expect(readSafetensors(tmpdir())).rejects.toThrow(`${tmpdir()}: is a folder, not a regular file`);
});

test('brackets and escaped quotes within a text are no levels', async () => {
  const text = `"\\"${'[{'.repeat(50)}\\\\"`;
  const found = await readSafetensors(file(`{"__metadata__":{"note":${text}}}`));
  expect(found.metadata).toEqual({ note: JSON.parse(text) });
});

test('a very long text in the header is read or refused, but never a crash', async () => {
  const long = file(`{"__metadata__":{"note":"${'x'.repeat(1.6e7)}"}}`);
  const outcome = await readSafetensors(long).then(
    ({ metadata }) => metadata['note']!.length,
    (error: unknown) => (error as Error).name,
  );
  expect([1.6e7, 'UserError']).toContain(outcome);
});

test('names a file that is not there', async () => {
  await expect(readSafetensors('/nowhere/x.safetensors')).rejects.toThrow(
    '/nowhere/x.safetensors: there is no such file',
  );
});

test('refuses to write a tensor whose values do not fill its shape', async () => {
  const wrong: StoredTensors = new Map([['a', { dtype: 'F32', shape: [3], data: Float32Array.of(1) }]]);
  await expect(writeSafetensors('/nowhere/x', wrong)).rejects.toThrow(
    'a: 1 values cannot be stored as F32 [3]',
  );
});
