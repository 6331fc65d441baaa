// MetaImage and NRRD files: orientation as in ITK, element types, encodings, detached headers, and what is refused.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync, gzipSync } from 'node:zlib';
import { UserError } from '@ct-ensemble/core';
import { readDatasetIndex } from '../layouts/dataset-index.ts';
import type { Scan } from '../scan.ts';
import { writeTree } from '../testing/dataset.fixture.ts';
import { readMetaImage } from './metaimage/metaimage.ts';
import { readNrrd } from './nrrd/nrrd.ts';
import { openSlices, readSliceFiles } from './slice-source.ts';

interface Recorded {
  /** Column n: the direction of axis n, to the left, to the back and to the head. */
  direction: number[][];
  shape: number[];
  spacing: number[];
  voxels: number[];
}
/** By fixtures/record-itk.py. */
const recorded = JSON.parse(
  readFileSync(join(import.meta.dirname, '../fixtures/itk-orientation.json'), 'utf8'),
) as Recorded[];

const numbers = Array.from({ length: 24 }, (_, i) => i);
const shorts = Buffer.from(Int16Array.from(numbers).buffer);
const identity = recorded[0]!;
const transposed = (matrix: number[][]) => [0, 1, 2].map((i) => matrix.map((row) => row[i]!));
const valuesOf = ({ slices }: Scan) => slices.flatMap(({ data }) => [...data]);
const kindsOf = ({ findings }: Scan) => findings.map(({ kind }) => kind);

/** Fields in place of the usual ones; undefined leaves a field out. */
type Fields = Record<string, string | undefined>;

function lines(fields: Fields, separator: string): string {
  return Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}${separator}${value}\n`)
    .join('');
}

/** A MetaImage; the field ElementDataFile is its last. */
function metaImage(
  { ElementDataFile = 'LOCAL', ...fields }: Fields = {},
  voxels: Uint8Array = shorts,
): Buffer {
  const header = {
    ObjectType: 'Image',
    NDims: '3',
    BinaryData: 'True',
    BinaryDataByteOrderMSB: 'False',
    CompressedData: 'False',
    TransformMatrix: '1 0 0 0 1 0 0 0 1',
    ElementSpacing: '0.5 0.75 2.5',
    DimSize: '2 3 4',
    ElementType: 'MET_SHORT',
    ...fields,
    ElementDataFile,
  };
  return Buffer.concat([Buffer.from(lines(header, ' = ')), voxels]);
}

function nrrd(fields: Fields = {}, voxels: Uint8Array = shorts): Buffer {
  const header = {
    type: 'short',
    dimension: '3',
    space: 'left-posterior-superior',
    sizes: '2 3 4',
    'space directions': '(0.5,0,0) (0,0.75,0) (0,0,2.5)',
    kinds: 'domain domain domain',
    endian: 'little',
    encoding: 'raw',
    'space origin': '(1,2,3)',
    ...fields,
  };
  return Buffer.concat([Buffer.from(`NRRD0004\n# made for a test\n${lines(header, ': ')}\n`), voxels]);
}

const readMeta = (fields?: Fields, voxels?: Uint8Array) =>
  readMetaImage({ path: 'a.mha', bytes: metaImage(fields, voxels) }, 'hu');
const readNrrdFile = (fields?: Fields, voxels?: Uint8Array) =>
  readNrrd({ path: 'a.nrrd', bytes: nrrd(fields, voxels) }, 'hu');

test.each(recorded)('oriented as ITK does it, %#', async ({ direction, shape, spacing, voxels }) => {
  const axes = transposed(direction);
  const steps = [0.5, 0.75, 2.5];
  const vectors = axes.map((axis, n) => `(${axis.map((value) => value * steps[n]!).join(',')})`).join(' ');
  const flipped = axes.map(
    ([x, y, z], n) => `(${[-x!, -y!, z!].map((value) => value * steps[n]!).join(',')})`,
  );
  for (const scan of [
    await readMeta({ TransformMatrix: axes.flat().join(' ') }),
    await readNrrdFile({ 'space directions': vectors }),
    await readNrrdFile({ space: 'RAS', 'space directions': flipped.join(' ') }),
  ]) {
    const { slices } = scan;
    expect([slices.length, slices[0]!.height, slices[0]!.width]).toEqual(shape);
    expect(valuesOf(scan)).toEqual(voxels);
    expect(scan.spacing!.slices).toBeCloseTo(spacing[0]!);
    expect(scan.spacing!.rows).toBeCloseTo(spacing[1]!);
    expect(scan.spacing!.columns).toBeCloseTo(spacing[2]!);
  }
});

test.each([
  ['MET_UCHAR', 'uchar', Uint8Array],
  ['MET_CHAR', 'int8', Int8Array],
  ['MET_USHORT', 'unsigned short', Uint16Array],
  ['MET_INT', 'int', Int32Array],
  ['MET_FLOAT', 'float', Float32Array],
  ['MET_DOUBLE', 'double', Float64Array],
] as const)('%s and %s, in both byte orders and compressed', async (met, type, Numbers) => {
  const little = Buffer.from(Numbers.from(numbers).buffer);
  const width = Numbers.BYTES_PER_ELEMENT;
  const big = Buffer.concat(
    numbers.map((_, i) => Buffer.from(little.subarray(i * width, (i + 1) * width)).reverse()),
  );
  for (const scan of [
    await readMeta({ ElementType: met }, little),
    await readMeta({ ElementType: met, BinaryDataByteOrderMSB: 'True' }, big),
    await readMeta({ ElementType: met, CompressedData: 'True' }, deflateSync(little)),
    await readNrrdFile({ type }, little),
    await readNrrdFile({ type, endian: 'big' }, big),
    await readNrrdFile({ type, encoding: 'gzip' }, gzipSync(little)),
  ])
    expect([valuesOf(scan), kindsOf(scan)]).toEqual([identity.voxels, []]);
});

test('a header and its file of voxels are one scan, which every layout knows', async () => {
  const root = await writeTree({
    'm/a.mhd': metaImage({ ElementDataFile: 'a.raw' }, new Uint8Array(0)),
    'm/a.raw': shorts,
    'n/b.nhdr': nrrd({ 'data file': 'b.raw.gz', encoding: 'gzip' }, new Uint8Array(0)),
    'n/b.raw.gz': gzipSync(shorts),
    'o/c.mha': metaImage(),
    'o/d.nrrd': nrrd(),
  });
  const { scans, report } = await readDatasetIndex(root, { anyFolder: true });
  expect(report.findings).toEqual([]);
  expect(scans.map(({ key, format, slices }) => [key, format, slices.length])).toEqual([
    ['test/m/a', 'metaimage', 2],
    ['test/n/b', 'nrrd', 2],
    ['test/o/c', 'metaimage', 1],
    ['test/o/d', 'nrrd', 1],
  ]);
  for (const scan of scans) {
    const { count } = await openSlices(scan, await readSliceFiles(scan.slices), { values: 'hu' });
    expect(count).toBe(4);
  }
});

test('what the header leaves open is reported', async () => {
  expect(kindsOf(await readMeta({ TransformMatrix: undefined }))).toEqual(['unknown-orientation']);
  expect(kindsOf(await readNrrdFile({ space: undefined }))).toEqual(['unknown-orientation']);
  const { spacing, findings } = await readNrrdFile({
    'space directions': undefined,
    spacings: '0.5 0.75 2.5',
  });
  expect(spacing).toEqual({ slices: 2.5, rows: 0.75, columns: 0.5 });
  expect(findings.map(({ kind }) => kind)).toEqual(['unknown-orientation']);
  expect(kindsOf(await readMeta({}, Buffer.concat([shorts, Buffer.of(1)])))).toEqual(['trailing-bytes']);
});

test.each<[string, () => Promise<Scan>, RegExp]>([
  [
    'too few voxels',
    () => readMeta({}, shorts.subarray(2)),
    /truncated: it can hold at most 46 of the 48 bytes/,
  ],
  ['cut zlib', () => readMeta({ CompressedData: 'True' }, deflateSync(shorts).subarray(0, -9)), /truncated/],
  ['several channels', () => readMeta({ ElementNumberOfChannels: '3' }), /ElementNumberOfChannels: 3/],
  ['other type', () => readMeta({ ElementType: 'MET_FLOAT_ARRAY' }), /field ElementType: "MET_FLOAT_ARRAY"/],
  ['4 GB', () => readMeta({ DimSize: '4096 4096 4000' }), /field DimSize: .* more than 4 GB/],
  ['two volumes', () => readMeta({ NDims: '4', DimSize: '2 3 4 2' }), /2 volumes in one file/],
  ['a list', () => readMeta({ ElementDataFile: 'LIST' }), /the slices are in files of their own/],
  [
    'voxels elsewhere',
    () => readMeta({ ElementDataFile: '../../secret' }),
    /is not in the folder of the header/,
  ],
  ['absent voxels', () => readMeta({ ElementDataFile: 'none.raw' }), /there is no file "none.raw" beside it/],
  ['no MetaImage', () => readMetaImage({ path: 'a.mha', bytes: Buffer.from('hello') }), /is not a MetaImage/],
  [
    'cut NRRD',
    () => readNrrdFile({}, shorts.subarray(2)),
    /truncated: it can hold at most 46 of the 48 bytes/,
  ],
  ['no endian', () => readNrrdFile({ endian: undefined }), /field endian: is missing/],
  ['text', () => readNrrdFile({ encoding: 'ascii' }), /field encoding: "ascii"/],
  [
    'vectors',
    () => readNrrdFile({ dimension: '4', sizes: '3 2 3 4' }),
    /space directions: 3 directions of 4 axes/,
  ],
  ['huge', () => readNrrdFile({ sizes: '9999 2 2' }), /field sizes/],
  ['no NRRD', () => readNrrd({ path: 'a.nrrd', bytes: Buffer.from('hello') }), /is not an NRRD file/],
])('refused: %s', async (_, read, message) => {
  const error: unknown = await read().catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(UserError);
  expect((error as UserError).file).toMatch(/^a\./);
  expect((error as UserError).remedy).toBeTruthy();
  expect((error as UserError).message).toMatch(message);
});
