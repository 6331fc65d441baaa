// Reader of CT volumes in NIfTI files, `.nii` or `.nii.gz`, version 1 or 2. Header fields have the names of https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h.
import { codeOf, messageOf, UserError } from '@ct-ensemble/core';
import { NIFTI1, NIFTI2 } from 'nifti-reader-js';
import { endianness } from 'node:os';
import { openBytes, type ByteSource } from '../byte-source.ts';
import { axesOf, type Axes } from './nifti-axes.ts';
import type { Scan, ScanFinding, Slice } from '../../scan.ts';

type Voxels =
  | Uint8Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>;
type VoxelArray = { new (length: number): Voxels; readonly BYTES_PER_ELEMENT: number };

/** The supported data types, by their codes in the header. */
const arrays: Readonly<Record<number, VoxelArray>> = {
  2: Uint8Array,
  4: Int16Array,
  8: Int32Array,
  16: Float32Array,
  64: Float64Array,
  256: Int8Array,
  512: Uint16Array,
  768: Uint32Array,
};

/** Largest number of voxels along an axis. */
const MAX_DIM = 4096;

/**
 * Largest number of voxels: 1024 × 1024 × 1024, more than a chest CT has at the usual 512 × 512 (4096 slices would be
 * needed) or at 1024 × 1024 (1024 slices). As 16-bit Hounsfield units such a volume takes 2 GiB, beside its voxels.
 */
const MAX_VOXELS = 2 ** 30;

/** Largest size of a decompressed file. */
const MAX_BYTES = 2 ** 32;

/** Throws the UserError that names the file. */
type Fail = (problem: string, remedy?: string) => never;
type Header = NIFTI1 | NIFTI2;

/**
 * Reads a volume as Hounsfield units: stored · scl_slope + scl_inter, rounded and clamped to int16. Slices are axial and
 * ordered from head to feet; row 0 is anterior and column 0 is the patient's right. The axes are only permuted and
 * flipped, to the nearest of the patient's axes; nothing is interpolated.
 *
 * A NIfTI file does not say whether its values are Hounsfield units. An 8-bit volume without scaling (grey values, or a
 * mask of labels) is read as Hounsfield units 0 … 255 like any other; the caller decides what it means.
 *
 * Reads from `bytes` if they are given, otherwise from the file; `path` names it in errors. Memory is bounded by the size
 * that the header claims, at most 4 GB and 2³⁰ voxels; a greater claim, and one that the file is too small for, is refused
 * before memory is allocated.
 * @throws {UserError} naming the file and the header field.
 */
export async function readNifti(path: string, bytes?: Uint8Array): Promise<Scan> {
  const fail: Fail = (problem, remedy = 'convert the series to NIfTI again (dcm2niix, nibabel)') => {
    throw new UserError(problem, { file: path, remedy });
  };
  let source: ByteSource | undefined;
  try {
    source = await openBytes(bytes ?? path);
    return await readVolume(source, fail);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(problemOf(error), {
      file: path,
      remedy: codeOf(error) === 'ENOENT' ? 'check the path' : 'copy or convert the file again',
      cause: error,
    });
  } finally {
    await source?.close();
  }
}

function problemOf(error: unknown): string {
  const code = codeOf(error) ?? '';
  if (code === 'ENOENT') return 'there is no such file';
  if (code === 'Z_BUF_ERROR') return 'is truncated: its gzip stream has no end';
  if (code.startsWith('Z_')) return `its gzip stream is damaged (${messageOf(error)})`;
  return `cannot be read (${messageOf(error)})`;
}

async function readVolume(source: ByteSource, fail: Fail): Promise<Scan> {
  const { header, bytes } = await readHeader(source, fail);
  const dims = dimsOf(header, fail);
  const VoxelArray = arrays[header.datatypeCode] ?? failDatatype(header, fail);
  const bits = VoxelArray.BYTES_PER_ELEMENT * 8;
  if (header.numBitsPerVoxel !== bits)
    fail(`header, field bitpix: ${header.numBitsPerVoxel}, but datatype ${header.datatypeCode} has ${bits}`);
  const scaling = scalingOf(header, fail);
  const start = bytes.length + 4; // four bytes that announce extensions follow the header
  const offset = header.vox_offset === 0 ? start : header.vox_offset;
  if (!Number.isInteger(offset) || offset < start || offset > MAX_BYTES)
    fail(`header, field vox_offset: the data cannot start at byte ${offset}`);
  const length = dims[0] * dims[1] * dims[2];
  const claimed = offset + length * VoxelArray.BYTES_PER_ELEMENT;
  const claim = `of the ${claimed} bytes that its header claims (fields dim ${dims.join(' × ')}, datatype, vox_offset)`;
  if (claimed > MAX_BYTES)
    fail(`header, field dim: ${dims.join(' × ')} voxels take ${claimed} bytes, more than 4 GB`);
  if (length > MAX_VOXELS)
    fail(`header, field dim: ${dims.join(' × ')} voxels; a CT volume may have at most ${MAX_VOXELS}`);
  if (claimed > source.limit)
    fail(`is truncated: it can hold at most ${source.limit} ${claim}`, 'copy or convert it again');

  const voxels = new VoxelArray(length);
  const raw = Buffer.from(voxels.buffer);
  const skipped = await source.skip(offset - bytes.length);
  const filled = await source.fill(raw);
  if (skipped + filled < claimed - bytes.length)
    fail(`is truncated: it holds ${bytes.length + skipped + filled} ${claim}`, 'copy or convert it again');
  if ((await source.skip(1)) > 0) fail(`has more bytes after the last ${claim}`);
  if (header.littleEndian !== (endianness() === 'LE')) swapBytes(raw, VoxelArray.BYTES_PER_ELEMENT);

  const axes = axesOf(header, bytes);
  const { slices, findings } = toSlices({ voxels, dims, axes, ...scaling });
  return {
    slices,
    values: 'HU',
    spacing: axes.spacing,
    patient: null,
    series: null,
    findings: [...axes.findings, ...findings],
  };
}

/** The library gets only the header: when it reads extensions it trusts the lengths that they claim. */
async function readHeader(source: ByteSource, fail: Fail): Promise<{ header: Header; bytes: Buffer }> {
  const first = Buffer.alloc(348);
  const got = await source.fill(first);
  if (got < first.length) fail(`is truncated: it holds ${got} bytes, fewer than the 348 of a header`);
  const sizes = [first.readInt32LE(0), first.readInt32BE(0)];
  const version = sizes.includes(348) ? 1 : sizes.includes(540) ? 2 : undefined;
  if (version === undefined)
    return fail(`is not a NIfTI file (header, field sizeof_hdr: ${sizes[0]})`, 'give a .nii or .nii.gz file');
  const magic = first.toString('latin1', ...((version === 1 ? [344, 347] : [4, 7]) as [number, number]));
  if (magic === `ni${version}`)
    fail('header, field magic: the image is in another file (.img)', 'convert the pair to one .nii file');
  if (magic !== `n+${version}`) fail(`is not a NIfTI file (header, field magic: ${JSON.stringify(magic)})`);
  const rest = Buffer.alloc(version === 1 ? 0 : 540 - 348);
  if ((await source.fill(rest)) < rest.length) fail('is truncated within the 540 bytes of its header');
  const bytes = Buffer.concat([first, rest]);
  const header = version === 1 ? new NIFTI1() : new NIFTI2();
  header.readHeader(Uint8Array.from(bytes).buffer);
  return { header, bytes };
}

function dimsOf({ dims }: Header, fail: Fail): [number, number, number] {
  const axes = dims[0]!;
  if (!(axes >= 3 && axes <= 7)) fail(`header, field dim[0]: ${axes} axes; a volume has three`);
  for (let i = 1; i <= axes; i++)
    if (!(dims[i]! >= 1 && (i > 3 || dims[i]! <= MAX_DIM)))
      fail(`header, field dim[${i}]: ${dims[i]!} is not within 1 … ${MAX_DIM}`);
  const volumes = dims.slice(4, axes + 1).reduce((product, n) => product * n, 1);
  if (volumes !== 1)
    fail(`header, field dim: ${volumes} volumes in one file`, 'write one of them to a file of its own');
  return [dims[1]!, dims[2]!, dims[3]!];
}

function failDatatype(header: Header, fail: Fail): never {
  const name = header.getDatatypeCodeString(header.datatypeCode);
  return fail(
    `header, field datatype: ${header.datatypeCode} (${name}) is not supported`,
    'convert it to 8, 16 or 32-bit integers or to floating point',
  );
}

function scalingOf({ scl_slope: slope, scl_inter: intercept }: Header, fail: Fail) {
  if (slope === 0) return { slope: 1, intercept: 0 };
  if (!Number.isFinite(slope)) fail(`header, field scl_slope: ${slope} is not a finite number`);
  if (!Number.isFinite(intercept)) fail(`header, field scl_inter: ${intercept} is not a finite number`);
  return { slope, intercept };
}

function toSlices(options: {
  voxels: Voxels;
  dims: readonly number[];
  axes: Axes;
  slope: number;
  intercept: number;
}): { slices: Slice[]; findings: ScanFinding[] } {
  const { voxels, dims, axes, slope, intercept } = options;
  const { round } = Math; // in Jest a property of a global is slow to reach
  const steps = [1, dims[0]!, dims[0]! * dims[1]!];
  const [slice, row, column] = [axes.slices, axes.rows, axes.columns].map(({ axis, flipped }) => {
    const count = dims[axis]!;
    return {
      count,
      step: steps[axis]! * (flipped ? -1 : 1),
      first: flipped ? (count - 1) * steps[axis]! : 0,
    };
  }) as [Run, Run, Run];
  const origin = slice.first + row.first + column.first;
  let cut = 0;
  let unknown = 0;
  const slices: Slice[] = [];
  for (let s = 0; s < slice.count; s++) {
    const data = new Int16Array(row.count * column.count);
    let i = 0;
    for (let r = 0; r < row.count; r++) {
      let at = origin + s * slice.step + r * row.step;
      for (let c = 0; c < column.count; c++, at += column.step) {
        let value = round(voxels[at]! * slope + intercept);
        if (!(value >= -32768 && value <= 32767)) {
          if (Number.isNaN(value)) {
            unknown++;
            value = -1024;
          } else {
            cut++;
            value = value < 0 ? -32768 : 32767;
          }
        }
        data[i++] = value;
      }
    }
    slices.push({ height: row.count, width: column.count, data });
  }
  const findings: ScanFinding[] = [];
  const of = `of ${voxels.length} voxels`;
  if (cut > 0)
    findings.push({
      kind: 'values-cut',
      message: `${cut} ${of} are outside 16 bits and were clamped to −32768 … 32767`,
    });
  if (unknown > 0)
    findings.push({
      kind: 'not-a-number',
      message: `${unknown} ${of} are not numbers and were set to −1024 HU`,
    });
  return { slices, findings };
}

/** How to walk along one axis of the output in the voxels of the file. */
interface Run {
  count: number;
  /** Distance of neighbours, in voxels; negative if the axis is flipped. */
  step: number;
  /** Offset of the first element, in voxels. */
  first: number;
}

function swapBytes(raw: Buffer, width: number) {
  if (width === 2) raw.swap16();
  else if (width === 4) raw.swap32();
  else if (width === 8) raw.swap64();
}
