// Reader of CT volumes in NRRD files, `.nrrd` or `.nhdr` with its file of voxels. Header fields have the names of https://teem.sourceforge.net/nrrd/format.html.
import type { Scan, ScanFinding } from '../../scan.ts';
import { axesOf, unitColumns, type Geometry } from '../axes.ts';
import type { Compression } from '../byte-source.ts';
import { headerBytes, MAX_HEADER, openVoxels, type DataPlace, type TextVolume } from '../header-text.ts';
import type { ValuesChoice } from '../values.ts';
import { readVolumeFile } from '../volume-file.ts';
import { bytesOf, MAX_DIM, readVoxels, scanOf, type Fail, type VoxelType } from '../voxels.ts';

/** The names of the supported types. */
const typeNames: Readonly<Record<VoxelType, readonly string[]>> = {
  int8: ['signed char', 'int8', 'int8_t'],
  uint8: ['uchar', 'unsigned char', 'uint8', 'uint8_t'],
  int16: ['short', 'short int', 'signed short', 'signed short int', 'int16', 'int16_t'],
  uint16: ['ushort', 'unsigned short', 'unsigned short int', 'uint16', 'uint16_t'],
  int32: ['int', 'signed int', 'int32', 'int32_t'],
  uint32: ['uint', 'unsigned int', 'uint32', 'uint32_t'],
  int64: [
    'longlong',
    'long long',
    'long long int',
    'signed long long',
    'signed long long int',
    'int64',
    'int64_t',
  ],
  uint64: ['ulonglong', 'unsigned long long', 'unsigned long long int', 'uint64', 'uint64_t'],
  float32: ['float'],
  float64: ['double'],
};
const types = new Map(
  Object.entries(typeNames).flatMap(([type, names]) =>
    names.map((name) => [name, type as VoxelType] as const),
  ),
);

/** Signs that make the first two coordinates of a space point to the right and to the front. */
const spaces: Readonly<Record<string, readonly [number, number]>> = {
  'right-anterior-superior': [1, 1],
  ras: [1, 1],
  'left-anterior-superior': [-1, 1],
  las: [-1, 1],
  'left-posterior-superior': [-1, -1],
  lps: [-1, -1],
};

/** Millimetres in a unit. */
const MILLIMETRES: Readonly<Record<string, number>> = { mm: 1, millimeter: 1, cm: 10, m: 1000, um: 0.001 };

/**
 * Reads a volume: slices are axial and ordered from head to feet; row 0 is anterior and column 0 is the patient's right.
 * The axes are only permuted and flipped. An NRRD does not say what its values are: `values` does, or else `decide`
 * (values.ts). Encodings raw and gzip; bounds as in `readNifti`.
 * @throws {UserError} naming the file and the header field.
 */
export async function readNrrd(file: TextVolume, values?: ValuesChoice): Promise<Scan> {
  return readVolumeFile(file, {
    remedy: 'write the volume again with 3D Slicer, SimpleITK or pynrrd',
    read: async (_, fail) => {
      const header = parseNrrdHeader(await headerBytes(file));
      if (header === null)
        return fail('is not an NRRD file (it does not begin with NRRD000)', 'give a .nrrd or .nhdr file');
      return readVolume(file, { ...header, fail, values });
    },
  });
}

export interface NrrdHeader {
  /** Values by field name, lower case. */
  fields: ReadonlyMap<string, string>;
  /** Where the voxels begin, behind the empty line. */
  end: number;
}

/** The fields of a header; null if the bytes do not begin with one. */
export function parseNrrdHeader(bytes: Uint8Array): NrrdHeader | null {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, MAX_HEADER)).toString(
    'latin1',
  );
  if (!/^NRRD000[1-9]\r?\n/.test(text)) return null;
  const fields = new Map<string, string>();
  for (let at = text.indexOf('\n') + 1; at < text.length;) {
    const newline = text.indexOf('\n', at);
    const end = newline === -1 ? text.length : newline;
    const line = text.slice(at, end).replace(/\r$/, '');
    at = end + 1;
    if (line === '') return { fields, end: Math.min(at, bytes.length) };
    const field = /^([^#:]+): ?(.*)$/.exec(line);
    if (field !== null && !field[2]!.startsWith('='))
      fields.set(field[1]!.trim().toLowerCase(), Buffer.from(field[2]!, 'latin1').toString().trim());
  }
  return { fields, end: bytes.length }; // A detached header needs no empty line.
}

/** The file of the voxels beside a header; null if they are in the same file, or in a list of files. */
export function nrrdDataFile({ fields }: NrrdHeader): string | null {
  const name = fields.get('data file') ?? fields.get('datafile');
  return name === undefined || isList(name) ? null : name;
}

const isList = (name: string) => /^list\b/i.test(name) || /%\d*d/.test(name);

async function readVolume(
  file: TextVolume,
  options: NrrdHeader & { fail: Fail; values: ValuesChoice | undefined },
): Promise<Scan> {
  const { fields, end, fail, values } = options;
  const get = (...names: readonly string[]) =>
    names.map((name) => fields.get(name)).find((value) => value !== undefined);
  const { dims, axes } = dimsOf(get, fail);
  const typeName = get('type') ?? '';
  const type =
    types.get(typeName.toLowerCase()) ??
    fail(`header, field type: ${JSON.stringify(typeName)} is not supported`);
  const compression = compressionOf(get('encoding') ?? '', fail);
  const endian = get('endian')?.toLowerCase();
  if (bytesOf(type) > 1 && endian !== 'little' && endian !== 'big')
    fail(
      `header, field endian: ${endian === undefined ? 'is missing' : JSON.stringify(endian)}; little or big is needed`,
    );
  const name = get('data file', 'datafile') ?? null;
  if (name !== null && isList(name)) fail('header, field data file: the slices are in files of their own');
  const lines = Number(get('line skip', 'lineskip') ?? 0);
  const skip = Number(get('byte skip', 'byteskip') ?? 0);
  if (!Number.isInteger(lines) || lines < 0 || lines > 1000) fail(`header, field line skip: ${lines}`);
  if (!Number.isInteger(skip) || skip < -1) fail(`header, field byte skip: ${skip}`);
  if (skip > 0 && compression !== 'none')
    fail('header, field byte skip: is not supported with encoding gzip');
  const place: DataPlace = { name, start: end, skip, lines, compression };
  const source = await openVoxels(file, { place, layout: { dims, type }, field: 'data file', fail });
  try {
    const { voxels, findings } = await readVoxels(
      source,
      { dims, type, littleEndian: endian !== 'big', offset: 0, consumed: 0, fields: 'sizes DIMS, type' },
      fail,
    );
    const scan = scanOf({ voxels, dims, axes: axesOf(geometryOf(get, { axes, fail })), values });
    return { ...scan, findings: [...findings, ...scan.findings] };
  } finally {
    await source.close();
  }
}

type Get = (...names: readonly string[]) => string | undefined;

function compressionOf(encoding: string, fail: Fail): Compression {
  if (/^raw$/i.test(encoding)) return 'none';
  if (/^gz(?:ip)?$/i.test(encoding)) return 'gzip';
  return fail(
    `header, field encoding: ${JSON.stringify(encoding)} is not supported`,
    'write it again with the encoding raw or gzip',
  );
}

/** The three axes that are not of length 1, or the first three; axes of other kinds than space must have length 1. */
function dimsOf(get: Get, fail: Fail): { dims: [number, number, number]; axes: number[] } {
  const sizes = (get('sizes') ?? '').split(/\s+/).map(Number);
  const dimension = Number(get('dimension'));
  if (!(dimension >= 3 && dimension <= 16))
    fail(`header, field dimension: ${get('dimension')}; a volume has three`);
  if (
    sizes.length !== dimension ||
    !sizes.every((size) => Number.isInteger(size) && size >= 1 && size <= MAX_DIM)
  )
    fail(
      `header, field sizes: ${JSON.stringify(get('sizes') ?? '')} is not ${dimension} numbers within 1 … ${MAX_DIM}`,
    );
  const vectors = vectorsOf(get, fail);
  const all = sizes.map((_, i) => i);
  const axes = vectors === null ? all.slice(0, 3) : all.filter((i) => vectors[i] !== null);
  if (axes.length !== 3) fail('header, field space directions: three axes have a direction in a volume');
  const others = all.filter((i) => !axes.includes(i));
  if (others.some((i) => sizes[i] !== 1))
    fail(
      `header, field sizes: ${sizes.join(' × ')} is more than one volume`,
      'write one volume to a file of its own',
    );
  return { dims: axes.map((i) => sizes[i]!) as [number, number, number], axes };
}

/** The direction of each axis, null for `none`; null if the header states none. */
function vectorsOf(get: Get, fail: Fail): (number[] | null)[] | null {
  const text = get('space directions');
  if (text === undefined) return null;
  const parts = text.match(/none|nan|\([^)]*\)/gi) ?? [];
  const vectors = parts.map((part) => {
    if (!part.startsWith('(')) return null;
    const vector = part.slice(1, -1).split(',').map(Number);
    return vector.length === 3
      ? vector
      : fail(`header, field space directions: ${part} is not three numbers`);
  });
  if (vectors.length !== Number(get('dimension')))
    fail(`header, field space directions: ${vectors.length} directions of ${get('dimension')} axes`);
  return vectors;
}

function geometryOf(get: Get, { axes, fail }: { axes: readonly number[]; fail: Fail }): Geometry {
  const findings: ScanFinding[] = [];
  const space = get('space')?.toLowerCase();
  const known = space === undefined ? undefined : spaces[space];
  const [x, y] = known ?? [-1, -1];
  const [unit = 'mm'] = [...(get('space units') ?? '').matchAll(/"([^"]*)"/g)].map((match) => match[1]!);
  const scale = MILLIMETRES[unit.toLowerCase()] ?? 1;
  const vectors = vectorsOf(get, fail);
  const columns =
    vectors &&
    unitColumns([x, y, 1].map((sign, row) => axes.map((axis) => sign * vectors[axis]![row]! * scale)));
  if (columns === null || known === undefined)
    findings.push({
      kind: 'unknown-orientation',
      message:
        columns === null
          ? 'the header states no usable orientation (fields space, space directions): the axes are assumed to run to the ' +
            'left, to the back and to the head'
          : `the header states no known space (field space: ${JSON.stringify(space ?? '')}): left-posterior-superior is assumed`,
    });
  if (columns !== null) return { ...columns, findings };
  const spacings = (get('spacings') ?? '').split(/\s+/).map(Number);
  const directions = [
    [-1, 0, 0],
    [0, -1, 0],
    [0, 0, 1],
  ];
  return { directions, lengths: axes.map((axis) => Math.abs(spacings[axis] || NaN)), findings };
}
