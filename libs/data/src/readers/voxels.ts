// From the voxels of a volume file in memory to a scan: byte order, plausible values, permuted and flipped axes.
import { UserError } from '@ct-ensemble/core';
import { endianness } from 'node:os';
import type { ByteSource } from './byte-source.ts';
import type { Axes } from './axes.ts';
import {
  beginsAsHounsfield,
  decide,
  ValueCounts,
  windowed,
  type Decision,
  type ValuesChoice,
} from './values.ts';
import type { Scan, ScanFinding, Slice } from '../scan.ts';

export type VoxelType =
  'int8' | 'uint8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'float32' | 'float64';

const arrays = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float32: Float32Array,
  float64: Float64Array,
} as const;

export const bytesOf = (type: VoxelType) => arrays[type].BYTES_PER_ELEMENT;

/** Largest number of voxels along an axis. */
export const MAX_DIM = 4096;

/**
 * Largest number of voxels: 1024 × 1024 × 1024, more than a chest CT has at the usual 512 × 512 (4096 slices would be
 * needed) or at 1024 × 1024 (1024 slices). As 16-bit Hounsfield units such a volume takes 2 GiB, beside its voxels.
 */
export const MAX_VOXELS = 2 ** 30;

/** Largest size of a decompressed file. */
export const MAX_FILE = 2 ** 32;

/** Throws the UserError that names the file. */
export type Fail = (problem: string, remedy?: string) => never;

/** Any numbers in memory, for reading. */
export type Voxels = ArrayLike<number>;

export interface VoxelLayout {
  dims: readonly [number, number, number];
  type: VoxelType;
  littleEndian: boolean;
  /** Bytes of the (decompressed) file before the voxels, from its beginning. */
  offset: number;
  /** Bytes of `offset` that have been read. */
  consumed: number;
  /** Names of the header's fields that state dims, type and offset. */
  fields: string;
}

/**
 * Reads the voxels from a source. A claim of too much, and one that the file is too small for, fails before memory is
 * allocated. Bytes behind the voxels are a finding.
 */
export async function readVoxels(
  source: ByteSource,
  layout: VoxelLayout,
  fail: Fail,
): Promise<{ voxels: Voxels; findings: ScanFinding[] }> {
  const { dims, type, offset, consumed, fields } = layout;
  const length = dims[0] * dims[1] * dims[2];
  const claimed = offset + length * bytesOf(type);
  const claim = `of the ${claimed} bytes that its header claims (fields ${fields.replace('DIMS', dims.join(' × '))})`;
  const field = fields.split(' ')[0]!.replace(',', '');
  if (claimed > MAX_FILE)
    fail(`header, field ${field}: ${dims.join(' × ')} voxels take ${claimed} bytes, more than 4 GB`);
  if (length > MAX_VOXELS)
    fail(`header, field ${field}: ${dims.join(' × ')} voxels; a CT volume may have at most ${MAX_VOXELS}`);
  if (claimed > source.limit)
    fail(`is truncated: it can hold at most ${source.limit} ${claim}`, 'copy or convert it again');
  const stored = new arrays[type](length);
  const raw = Buffer.from(stored.buffer);
  const skipped = await source.skip(offset - consumed);
  const filled = await source.fill(raw);
  if (skipped + filled < claimed - consumed)
    fail(`is truncated: it holds ${consumed + skipped + filled} ${claim}`, 'copy or convert it again');
  if (layout.littleEndian !== (endianness() === 'LE')) swapBytes(raw, bytesOf(type));
  const findings: ScanFinding[] = [];
  if ((await source.skip(1)) > 0)
    findings.push({
      kind: 'trailing-bytes',
      message: `has more bytes after the last ${claim}; they are ignored`,
    });
  if (!(stored instanceof BigInt64Array || stored instanceof BigUint64Array))
    return { voxels: stored, findings };
  const voxels = new Float64Array(stored.buffer); // in place
  for (let i = 0; i < voxels.length; i++) voxels[i] = Number(stored[i]!);
  return { voxels, findings };
}

function swapBytes(raw: Buffer, width: number) {
  if (width === 2) raw.swap16();
  else if (width === 4) raw.swap32();
  else if (width === 8) raw.swap64();
}

export interface VolumeOptions {
  voxels: Voxels;
  dims: readonly number[];
  axes: Axes;
  /** Value = stored number · slope + intercept. Default: 1 and 0. */
  slope?: number;
  intercept?: number;
  /** What the values are; default: decided by `decide`. */
  values?: ValuesChoice | undefined;
}

/**
 * The scan of a volume, from head to feet; row 0 is anterior and column 0 is the patient's right. Hounsfield units are
 * rounded and clamped to int16; values that are not numbers become −1024 HU, or black.
 * @throws {UserError} without a file, if it is not sure what the values are.
 */
export function scanOf(options: VolumeOptions): Scan {
  const { voxels, axes, slope = 1, intercept = 0, values } = options;
  const scaling = { slope, intercept };
  const decision = decisionOf(voxels, scaling, values);
  const { reading } = decision;
  const { slices, cut, unknown } = toSlices(options, decision);
  const findings: ScanFinding[] = [...axes.findings, ...decision.findings];
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
  const isGrey = reading.kind === 'grey' && reading.window === null;
  return {
    slices,
    values: isGrey ? 'grey' : 'HU',
    spacing: axes.spacing,
    patient: null,
    series: null,
    findings,
  };
}

function decisionOf(
  voxels: Voxels,
  scaling: { slope: number; intercept: number },
  choice: ValuesChoice | undefined,
): Decision {
  const plain: Decision = { reading: { kind: 'hu', offset: 0 }, padding: null, findings: [] };
  if (choice === 'hu' || (choice === undefined && beginsAsHounsfield(voxels, scaling))) return plain;
  const counts = new ValueCounts();
  counts.add(voxels, scaling);
  return decide(counts, { choice });
}

function toSlices(
  { voxels, dims, axes, slope = 1, intercept = 0 }: VolumeOptions,
  { reading, padding }: Decision,
): { slices: Slice[]; cut: number; unknown: number } {
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
  const isGrey = reading.kind === 'grey' && reading.window === null;
  const offset = reading.kind === 'hu' ? intercept - reading.offset : intercept;
  const blank = padding === null ? NaN : padding - (reading.kind === 'hu' ? reading.offset : 0);
  let cut = 0;
  let unknown = 0;
  const slices: Slice[] = [];
  for (let s = 0; s < slice.count; s++) {
    const data = new (isGrey ? Uint8Array : Int16Array)(row.count * column.count);
    let i = 0;
    for (let r = 0; r < row.count; r++) {
      let at = origin + s * slice.step + r * row.step;
      for (let c = 0; c < column.count; c++, at += column.step) {
        let value = voxels[at]! * slope + offset;
        if (reading.kind === 'hu') {
          value = round(value);
          if (value === blank) value = -1024;
        } else if (isGrey) value = round(Math.max(0, Math.min(255, (value / reading.white) * 255)));
        else value = round(windowed(value, reading));
        if (!(value >= -32768 && value <= 32767)) {
          if (Number.isNaN(value)) {
            unknown++;
            value = isGrey ? 0 : -1024;
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
  return { slices, cut, unknown };
}

/** How to walk along one axis of the output in the voxels of the file. */
interface Run {
  count: number;
  /** Distance of neighbours, in voxels; negative if the axis is flipped. */
  step: number;
  /** Offset of the first element, in voxels. */
  first: number;
}

/**
 * A scan read from DICOM files, by `decide`. If it is not sure what the values are, the rescaling that the files state
 * decides, with a finding. With a choice of Hounsfield units the scan holds them already; grey values were read minus
 * `offset`.
 * @throws {UserError} without a file, if it is not sure and the files state no rescaling.
 */
export function plausibleScan(
  scan: Scan,
  { values, offset = 0 }: { values?: ValuesChoice | undefined; offset?: number } = {},
): Scan {
  if (values?.startsWith('hu') || scan.values !== 'HU') return scan;
  const counts = new ValueCounts();
  const slices = scan.slices as readonly (Slice & { data: Int16Array })[];
  if (values === undefined && slices.some(({ data }) => beginsAsHounsfield(data))) {
    const share = slices.reduce((sum, { data }) => sum + (beginsAsHounsfield(data) ? 1 : 0), 0);
    if (share * 2 >= slices.length) return scan;
  }
  for (const { data } of slices) counts.add(data, { intercept: offset });
  let decision: Decision;
  try {
    decision = decide(counts, { choice: values });
  } catch (error) {
    const isStated = !scan.findings.some(({ kind }) => kind === 'no-rescale');
    if (!isStated || values !== undefined || !(error instanceof UserError)) throw error;
    const message = `the files state a rescaling to Hounsfield units, which is used, but ${error.problem}`;
    return { ...scan, findings: [...scan.findings, { kind: 'implausible-values', message }] };
  }
  const { reading, findings } = decision;
  if (reading.kind === 'hu' && reading.offset === 0) return scan;
  if (reading.kind === 'hu' && reading.offset === 32768 && counts.most >= 32767)
    throw new UserError('its values are Hounsfield units + 32768, which the file does not state', {
      remedy: 'say so with --values hu+32768, or write −32768 into RescaleIntercept',
    });
  const axis = (n: number) => ({ axis: n, flipped: false });
  const read = slices.map(({ height, width, data }) => {
    const dims = [width, height, 1];
    const axes: Axes = { columns: axis(0), rows: axis(1), slices: axis(2), spacing: null, findings: [] };
    return toSlices({ voxels: data, dims, axes, intercept: offset }, decision).slices[0]!;
  });
  const isGrey = reading.kind === 'grey' && reading.window === null;
  return {
    ...scan,
    slices: read,
    values: isGrey ? 'grey' : 'HU',
    findings: [...scan.findings, ...findings],
  };
}
