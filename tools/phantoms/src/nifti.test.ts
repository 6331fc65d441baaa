import { gunzipSync } from 'node:zlib';

import { niftiFile } from './nifti.ts';
import type { RenderedSlice } from './render.ts';

const slice = (z: number, ...hu: number[]): RenderedSlice => ({
  hu: Int16Array.from(hu),
  geometry: { z, pixel: 2, spacing: 5, thickness: 5 },
  grey: new Uint8Array(4),
  mask: new Uint8Array(4),
  lungPixels: 0,
  affectedPixels: 0,
});

test('the header and the values are those of NIfTI-1, and the affine leads to RAS millimetres', () => {
  const file = gunzipSync(niftiFile([slice(-10, -1000, 1, 2, 3), slice(-5, 4, 5, 6, 700)], 2));
  const int16 = (at: number) => file.readInt16LE(at);
  expect(file.readInt32LE(0)).toBe(348);
  expect(file.toString('latin1', 344, 348)).toBe('n+1\0');
  expect([40, 42, 44, 46].map(int16)).toEqual([3, 2, 2, 2]);
  expect([70, 72].map(int16)).toEqual([4, 16]);
  expect([80, 84, 88].map((at) => file.readFloatLE(at))).toEqual([2, 2, 5]);
  expect([108, 112, 116].map((at) => file.readFloatLE(at))).toEqual([352, 1, 0]);
  const row = (r: number) => [0, 4, 8, 12].map((at) => file.readFloatLE(280 + 16 * r + at));
  // Voxel 0 is the patient's right, front and top slice: x, y and z are largest there.
  expect([row(0), row(1), row(2)]).toEqual([
    [-2, 0, 0, 1],
    [0, -2, 0, 1],
    [0, 0, -5, 10],
  ]);
  expect(file.length).toBe(352 + 16);
  expect(Array.from({ length: 8 }, (_, i) => int16(352 + 2 * i))).toEqual([-1000, 1, 2, 3, 4, 5, 6, 700]);
});
