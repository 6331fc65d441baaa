// NIfTI files made for tests, byte by byte, after nifti1.h and nifti2.h.

const types = {
  uint8: { code: 2, bytes: 1, set: 'setUint8' },
  int16: { code: 4, bytes: 2, set: 'setInt16' },
  int32: { code: 8, bytes: 4, set: 'setInt32' },
  float32: { code: 16, bytes: 4, set: 'setFloat32' },
  float64: { code: 64, bytes: 8, set: 'setFloat64' },
  int8: { code: 256, bytes: 1, set: 'setInt8' },
  uint16: { code: 512, bytes: 2, set: 'setUint16' },
  uint32: { code: 768, bytes: 4, set: 'setUint32' },
  int64: { code: 1024, bytes: 8, set: 'setBigInt64' },
  uint64: { code: 1280, bytes: 8, set: 'setBigUint64' },
} as const;
export type NiftiType = keyof typeof types;
export const niftiTypes = Object.keys(types) as NiftiType[];

export interface NiftiOptions {
  /** Sizes of the axes i, j, k; then the number of volumes. */
  dims: readonly number[];
  /** The voxels; i runs fastest. */
  values: readonly number[];
  type?: NiftiType;
  version?: 1 | 2;
  littleEndian?: boolean;
  pixdim?: readonly number[];
  units?: number;
  slope?: number;
  intercept?: number;
  /** Three rows of four. Default: i, j and k run to the left, to the back and to the feet, which is the order of scans. */
  sform?: readonly (readonly number[])[] | null;
  qform?: { quaternion: readonly [number, number, number]; qfac: 1 | -1 };
  /** Bytes of an extension between header and data. */
  extension?: Uint8Array;
}

const ours = [
  [-1, 0, 0, 0],
  [0, -1, 0, 0],
  [0, 0, -1, 0],
];

export function niftiFile(options: NiftiOptions): Buffer {
  const { dims, values, version = 1, littleEndian = true, pixdim = [1, 1, 1], sform = ours, qform } = options;
  const { code, bytes, set } = types[options.type ?? 'int16'];
  const extension = options.extension ?? new Uint8Array(0);
  const start = (version === 1 ? 352 : 544) + extension.length;
  const file = Buffer.alloc(start + values.length * bytes);
  const view = new DataView(file.buffer, file.byteOffset, file.length);
  const short = (at: number, value: number) => view.setInt16(at, value, littleEndian);
  const int = (at: number, value: number) => view.setInt32(at, value, littleEndian);
  const long = (at: number, value: number) => view.setBigInt64(at, BigInt(value), littleEndian);
  const float = (at: number, value: number) => view.setFloat32(at, value, littleEndian);
  const double = (at: number, value: number) => view.setFloat64(at, value, littleEndian);
  const one = version === 1;
  const real = (at: readonly [number, number], value: number, n = 0) =>
    one ? float(at[0] + 4 * n, value) : double(at[1] + 8 * n, value);

  int(0, one ? 348 : 540);
  file.write(one ? 'n+1\0' : 'n+2\0\r\n\x1a\n', one ? 344 : 4, 'latin1');
  const allDims = [dims.length, ...dims, ...Array<number>(7 - dims.length).fill(1)];
  for (const [n, dim] of allDims.entries()) (one ? short : long)(one ? 40 + 2 * n : 16 + 8 * n, dim);
  short(one ? 70 : 12, code);
  short(one ? 72 : 14, bytes * 8);
  for (const [n, size] of [qform?.qfac ?? 1, ...pixdim].entries()) real([76, 104], size, n);
  if (one) float(108, start);
  else long(168, start);
  real([112, 176], options.slope ?? 0);
  real([116, 184], options.intercept ?? 0);
  if (one) file[123] = options.units ?? 2;
  else int(500, options.units ?? 2);
  (one ? short : int)(one ? 252 : 344, qform === undefined ? 0 : 1);
  (one ? short : int)(one ? 254 : 348, sform === null ? 0 : 1);
  for (const [n, value] of (qform?.quaternion ?? []).entries()) real([256, 352], value, n);
  for (const [n, value] of (sform ?? []).flat().entries()) real([280, 400], value, n);
  if (extension.length > 0) file[start - extension.length - 4] = 1;
  file.set(extension, start - extension.length);
  for (const [n, value] of values.entries())
    if (set === 'setBigInt64' || set === 'setBigUint64')
      view[set](start + n * bytes, BigInt(value), littleEndian);
    else view[set](start + n * bytes, value, littleEndian);
  return file;
}
