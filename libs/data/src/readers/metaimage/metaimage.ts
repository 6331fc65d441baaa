// Reader of CT volumes in MetaImage files, `.mha` or `.mhd` with its file of voxels. Header fields have the names of https://itk.org/Wiki/ITK/MetaIO/Documentation.
import type { Scan } from '../../scan.ts';
import { axesOf, unitColumns, type Geometry } from '../axes.ts';
import {
  headerBytes,
  MAX_HEADER,
  numbersOf,
  openVoxels,
  type DataPlace,
  type TextVolume,
} from '../header-text.ts';
import type { ValuesChoice } from '../values.ts';
import { readVolumeFile } from '../volume-file.ts';
import { MAX_DIM, readVoxels, scanOf, type Fail, type VoxelType } from '../voxels.ts';

/** The supported element types. `MET_LONG` has four bytes in MetaIO, on every machine. */
const types: Readonly<Record<string, VoxelType>> = {
  MET_CHAR: 'int8',
  MET_UCHAR: 'uint8',
  MET_SHORT: 'int16',
  MET_USHORT: 'uint16',
  MET_INT: 'int32',
  MET_UINT: 'uint32',
  MET_LONG: 'int32',
  MET_ULONG: 'uint32',
  MET_LONG_LONG: 'int64',
  MET_ULONG_LONG: 'uint64',
  MET_FLOAT: 'float32',
  MET_DOUBLE: 'float64',
};

const REMEDY = 'write the volume again with ITK or SimpleITK';

/**
 * Reads a volume: slices are axial and ordered from head to feet; row 0 is anterior and column 0 is the patient's right.
 * The axes are only permuted and flipped. A MetaImage does not say what its values are: `values` does, or else `decide`
 * (values.ts). Uncompressed or compressed with zlib; bounds as in `readNifti`.
 * @throws {UserError} naming the file and the header field.
 */
export async function readMetaImage(file: TextVolume, values?: ValuesChoice): Promise<Scan> {
  return readVolumeFile(file, {
    remedy: REMEDY,
    read: async (_, fail) => {
      const bytes = await headerBytes(file);
      const header = parseMetaHeader(bytes);
      if (header === null)
        return fail('is not a MetaImage (it has no field ElementDataFile)', 'give a .mha or .mhd file');
      return readVolume(file, { ...header, fail, values });
    },
  });
}

export interface MetaHeader {
  /** Values by field name, lower case. */
  fields: ReadonlyMap<string, string>;
  /** Where the header ends. */
  end: number;
}

/** The fields of a header; null if the bytes do not begin with one. */
export function parseMetaHeader(bytes: Uint8Array): MetaHeader | null {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, MAX_HEADER)).toString(
    'latin1',
  );
  const fields = new Map<string, string>();
  for (let at = 0; at < text.length;) {
    const newline = text.indexOf('\n', at);
    const end = newline === -1 ? text.length : newline;
    const line = /^\s*([A-Za-z_][\w .|-]*?)\s*[=:]\s*(.*?)\s*$/.exec(text.slice(at, end));
    at = end + 1;
    if (line === null) {
      if (fields.size === 0) return null;
      continue;
    }
    const name = line[1]!.toLowerCase();
    fields.set(name, Buffer.from(line[2]!, 'latin1').toString());
    if (name === 'elementdatafile') return { fields, end: Math.min(at, bytes.length) };
  }
  return null;
}

/** The file of the voxels beside a header; null if they are in the same file, or in a list of files. */
export function metaDataFile({ fields }: MetaHeader): string | null {
  const name = fields.get('elementdatafile')!;
  return /^(?:local|list)\b/i.test(name) || name.includes('%') ? null : name;
}

async function readVolume(
  file: TextVolume,
  options: MetaHeader & { fail: Fail; values: ValuesChoice | undefined },
): Promise<Scan> {
  const { fields, end, fail, values } = options;
  const get = (name: string) => fields.get(name.toLowerCase());
  const isTrue = (name: string) => /^(?:true|1|t|yes)$/i.test(get(name) ?? '');
  const dims = dimsOf(get, fail);
  const typeName = get('ElementType') ?? '';
  const type =
    types[typeName.toUpperCase()] ??
    fail(
      `header, field ElementType: ${JSON.stringify(typeName)} is not supported`,
      'convert it to MET_SHORT',
    );
  const channels = Number(get('ElementNumberOfChannels') ?? 1);
  if (channels !== 1) fail(`header, field ElementNumberOfChannels: ${channels}; a CT has one`);
  if (get('BinaryData') !== undefined && !isTrue('BinaryData'))
    fail('header, field BinaryData: voxels written as text are not supported');
  for (const [name, neutral] of [
    ['ElementToIntensityFunctionSlope', 1],
    ['ElementToIntensityFunctionOffset', 0],
  ] as const)
    if (Number(get(name) ?? neutral) !== neutral)
      fail(`header, field ${name}: ${get(name)} is not supported`);
  const name = get('ElementDataFile')!;
  if (/^list\b/i.test(name) || name.includes('%'))
    fail('header, field ElementDataFile: the slices are in files of their own');
  const place: DataPlace = {
    name: /^local$/i.test(name) ? null : name,
    start: end,
    skip: Number(get('HeaderSize') ?? 0),
    compression: isTrue('CompressedData') ? 'zlib' : 'none',
  };
  const littleEndian = !(isTrue('BinaryDataByteOrderMSB') || isTrue('ElementByteOrderMSB'));
  const source = await openVoxels(file, { place, layout: { dims, type }, field: 'ElementDataFile', fail });
  try {
    const { voxels, findings } = await readVoxels(
      source,
      { dims, type, littleEndian, offset: 0, consumed: 0, fields: 'DimSize DIMS, ElementType' },
      fail,
    );
    const scan = scanOf({ voxels, dims, axes: axesOf(geometryOf(get, fail)), values });
    return { ...scan, findings: [...findings, ...scan.findings] };
  } finally {
    await source.close();
  }
}

type Get = (name: string) => string | undefined;

function dimsOf(get: Get, fail: Fail): [number, number, number] {
  const axes = Number(get('NDims'));
  if (!(axes === 3 || axes === 4)) fail(`header, field NDims: ${get('NDims')} axes; a volume has three`);
  const dims = numbersOf(get('DimSize') ?? '', { field: 'DimSize', count: axes, fail });
  if (!dims.slice(0, 3).every((dim) => Number.isInteger(dim) && dim >= 1 && dim <= MAX_DIM))
    fail(`header, field DimSize: ${dims.join(' × ')} is not within 1 … ${MAX_DIM}`);
  if (axes === 4 && dims[3] !== 1)
    fail(`header, field DimSize: ${dims[3]} volumes in one file`, 'write one of them to a file of its own');
  return [dims[0]!, dims[1]!, dims[2]!];
}

/** Row n of TransformMatrix is the direction of axis n, to the left, to the back and to the head. */
function geometryOf(get: Get, fail: Fail): Geometry {
  const axes = Number(get('NDims'));
  const spacing = get('ElementSpacing') ?? get('ElementSize');
  const lengths =
    spacing === undefined
      ? [NaN, NaN, NaN]
      : numbersOf(spacing, { field: 'ElementSpacing', count: axes, fail }).slice(0, 3).map(Math.abs);
  const text = get('TransformMatrix') ?? get('Orientation') ?? get('Rotation');
  if (text !== undefined) {
    const rows = numbersOf(text, { field: 'TransformMatrix', count: axes * axes, fail });
    const columns = unitColumns(
      [-1, -1, 1].map((sign, row) => [0, 1, 2].map((axis) => sign * rows[axis * axes + row]!)),
    );
    if (columns !== null) return { directions: columns.directions, lengths, findings: [] };
  }
  const what = text === undefined ? 'states no orientation (field' : 'states an unusable orientation (field';
  const message = `the header ${what} TransformMatrix): the axes are assumed to run to the left, to the back and to the head`;
  return {
    directions: [
      [-1, 0, 0],
      [0, -1, 0],
      [0, 0, 1],
    ],
    lengths,
    findings: [{ kind: 'unknown-orientation', message }],
  };
}
