// Volumes as NumPy files: `.npy` format 1.0, uint8, C order. Readable by `numpy.load(path)`.
// Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
import { UserError } from '@ct-ensemble/core';
import type { Volume } from '../volumes/volume.ts';

const MAGIC = Buffer.from('\x93NUMPY\x01\x00', 'latin1');
const HEADER = /^\{'descr': '\|u1', 'fortran_order': False, 'shape': \((\d+), (\d+), (\d+)\), \} *\n$/;

/** The bytes of a volume's file, as header and data; the data is not copied. */
export function encodeNpy({ depth, height, width, data }: Volume): [Uint8Array, Uint8Array] {
  const text = `{'descr': '|u1', 'fortran_order': False, 'shape': (${depth}, ${height}, ${width}), }`;
  const length = Math.ceil((MAGIC.length + 2 + text.length + 1) / 64) * 64 - MAGIC.length - 2;
  const header = Buffer.alloc(MAGIC.length + 2 + length);
  MAGIC.copy(header);
  header.writeUInt16LE(length, MAGIC.length);
  header.write(`${text.padEnd(length - 1)}\n`, MAGIC.length + 2, 'latin1');
  return [header, data];
}

/**
 * Reads what `encodeNpy` writes; the volume's data is a view of `bytes`.
 * @throws {UserError} naming the file, if it is not such a file or is cut short.
 */
export function decodeNpy(bytes: Buffer, file: string): Volume {
  const start = MAGIC.length + 2;
  const length = bytes.length >= start ? bytes.readUInt16LE(MAGIC.length) : 0;
  const match = HEADER.exec(bytes.toString('latin1', start, start + length));
  const damaged = (problem: string) =>
    new UserError(problem, { file, remedy: 'prepare the dataset again; the file is then replaced' });
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC) || match === null)
    throw damaged('is not a volume (.npy 1.0, uint8, C order, three axes)');
  const [depth, height, width] = match.slice(1).map(Number) as [number, number, number];
  const data = new Uint8Array(bytes.buffer, bytes.byteOffset + start + length, bytes.length - start - length);
  if (data.length !== depth * height * width)
    throw damaged(`is damaged: ${data.length} grey values instead of ${depth} × ${height} × ${width}`);
  return { depth, height, width, data };
}
