// A phantom scan as one compressed NIfTI-1 file (nifti1.h): signed 16-bit Hounsfield units and their place in millimetres.
import { gzipSync } from 'node:zlib';

import type { RenderedSlice } from './render.ts';

const HEADER = 348;
const DATA_OFFSET = 352;
const INT16 = 4;
const MILLIMETRES = 2;
const SCANNER_COORDINATES = 1;

/** The slices run from head to feet, each is `size` × `size`. */
export function niftiFile(slices: readonly RenderedSlice[], size: number): Uint8Array {
  const pixels = size * size;
  const file = Buffer.alloc(DATA_OFFSET + 2 * pixels * slices.length);
  const { z, pixel, spacing } = slices[0]!.geometry;
  file.writeInt32LE(HEADER, 0);
  [3, size, size, slices.length, 1, 1, 1, 1].forEach((value, i) => file.writeInt16LE(value, 40 + 2 * i));
  file.writeInt16LE(INT16, 70);
  file.writeInt16LE(16, 72);
  [1, pixel, pixel, spacing].forEach((value, i) => file.writeFloatLE(value, 76 + 4 * i));
  file.writeFloatLE(DATA_OFFSET, 108);
  file.writeFloatLE(1, 112); // slope; the intercept stays 0
  file.writeInt8(MILLIMETRES, 123);
  file.writeInt16LE(SCANNER_COORDINATES, 254);
  // From voxel indices to RAS coordinates: x to the patient's right is negative, y to the back is negative, z to the head.
  const corner = ((size - 1) / 2) * pixel;
  const affine = [-pixel, 0, 0, corner, 0, -pixel, 0, corner, 0, 0, -spacing, -z];
  affine.forEach((value, i) => file.writeFloatLE(value, 280 + 4 * i));
  file.write('n+1\0', 344, 'latin1');
  for (const [k, { hu }] of slices.entries())
    for (let i = 0; i < pixels; i++) file.writeInt16LE(hu[i]!, DATA_OFFSET + 2 * (k * pixels + i));
  return gzipSync(file, { level: 6 });
}
