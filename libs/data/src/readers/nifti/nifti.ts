// Reader of CT volumes in NIfTI files, `.nii` or `.nii.gz`, version 1 or 2. Header fields have the names of https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h.
import { NIFTI1, NIFTI2 } from 'nifti-reader-js';
import { axesOf } from '../axes.ts';
import type { ByteSource } from '../byte-source.ts';
import { geometryOf } from './nifti-axes.ts';
import { readVolumeFile, type VolumeFile } from '../volume-file.ts';
import { bytesOf, MAX_DIM, MAX_FILE, readVoxels, scanOf, type Fail, type VoxelType } from '../voxels.ts';
import type { Scan, ScanFinding } from '../../scan.ts';
import type { ValuesChoice } from '../values.ts';

/** The supported data types, by their codes in the header. */
const types: Readonly<Record<number, VoxelType>> = {
  2: 'uint8',
  4: 'int16',
  8: 'int32',
  16: 'float32',
  64: 'float64',
  256: 'int8',
  512: 'uint16',
  768: 'uint32',
  1024: 'int64',
  1280: 'uint64',
};

type Header = NIFTI1 | NIFTI2;

/**
 * Reads a volume: stored · scl_slope + scl_inter. Slices are axial and ordered from head to feet; row 0 is anterior and
 * column 0 is the patient's right. The axes are only permuted and flipped, to the nearest of the patient's axes; nothing
 * is interpolated. A NIfTI file does not say what its values are: `values` does, or else `decide` (values.ts).
 *
 * Memory is bounded by the size that the header claims, at most 4 GB and 2³⁰ voxels; a greater claim, and one that the
 * file is too small for, is refused before memory is allocated.
 * @throws {UserError} naming the file and the header field.
 */
export function readNifti(file: VolumeFile, values?: ValuesChoice): Promise<Scan> {
  return readVolumeFile(file, {
    remedy: 'convert the series to NIfTI again (dcm2niix, nibabel)',
    read: (source, fail) => readVolume(source, { fail, values }),
  });
}

async function readVolume(
  source: ByteSource,
  { fail, values }: { fail: Fail; values: ValuesChoice | undefined },
): Promise<Scan> {
  const { header, bytes } = await readHeader(source, fail);
  const dims = dimsOf(header, fail);
  const type = types[header.datatypeCode] ?? failDatatype(header, fail);
  const findings: ScanFinding[] = [];
  const bits = bytesOf(type) * 8;
  if (header.numBitsPerVoxel !== bits)
    findings.push({
      kind: 'header-contradiction',
      message: `header, field bitpix: ${header.numBitsPerVoxel} is ignored, datatype ${header.datatypeCode} has ${bits} bits`,
    });
  const scaling = scalingOf(header, { fail, findings });
  const start = bytes.length + 4; // four bytes that announce extensions follow the header
  const offset = header.vox_offset === 0 ? start : header.vox_offset;
  if (!Number.isInteger(offset) || offset < start || offset > MAX_FILE)
    fail(`header, field vox_offset: the data cannot start at byte ${offset}`);
  const { littleEndian } = header;
  const { voxels, findings: more } = await readVoxels(
    source,
    { dims, type, littleEndian, offset, consumed: bytes.length, fields: 'dim DIMS, datatype, vox_offset' },
    fail,
  );
  const scan = scanOf({ voxels, dims, axes: axesOf(geometryOf(header, bytes)), ...scaling, values });
  return { ...scan, findings: [...findings, ...more, ...scan.findings] };
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
    'convert it to integers or floating point of 64 bits or fewer',
  );
}

/** As nibabel: no scaling if scl_slope is 0 or not finite. */
function scalingOf(
  { scl_slope: slope, scl_inter: intercept }: Header,
  { fail, findings }: { fail: Fail; findings: ScanFinding[] },
) {
  if (slope === 0) return { slope: 1, intercept: 0 };
  if (!Number.isFinite(slope)) {
    const message = `header, field scl_slope: ${slope} is not a finite number; the stored values are not scaled`;
    findings.push({ kind: 'unusable-scaling', message });
    return { slope: 1, intercept: 0 };
  }
  if (!Number.isFinite(intercept)) fail(`header, field scl_inter: ${intercept} is not a finite number`);
  return { slope, intercept };
}
