// DICOM files made for tests: the elements of one CT slice, encoded as PS3.5 describes.
import { deflateRawSync } from 'node:zlib';
import { tags, type Keyword } from './dicom-elements.ts';
import { BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT } from './transfer-syntaxes.ts';

export { BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT };

type Value = string | number | Uint8Array | Uint8Array[];
export type SliceElements = Partial<Record<Keyword, Value | undefined>>;

const LONG = ['OB', 'OW'];
const numbers: readonly Keyword[] = [
  'SamplesPerPixel',
  'Rows',
  'Columns',
  'BitsAllocated',
  'BitsStored',
  'HighBit',
  'PixelRepresentation',
  'PixelPaddingValue',
  'PixelPaddingRangeLimit',
];
const vrOf = (keyword: Keyword) =>
  keyword === 'PixelData'
    ? 'OW'
    : numbers.includes(keyword)
      ? 'US'
      : keyword.endsWith('UID')
        ? 'UI'
        : /Modality|ImageType|FrameType|Photometric|SpecificCharacterSet/.test(keyword)
          ? 'CS'
          : keyword === 'PatientID'
            ? 'LO'
            : keyword === 'ConvolutionKernel' || keyword === 'AcquisitionTime'
              ? 'SH'
              : /^(InstanceNumber|AcquisitionNumber|NumberOfFrames)$/.test(keyword)
                ? 'IS'
                : 'DS';

/** The words as pixel data, little endian. */
export const words = (...values: number[]) =>
  new Uint8Array(Uint16Array.from(values, (value) => value & 0xffff).buffer);

/** A slice of 2 × 3 signed words, HU = stored − 1000, at z; a change to undefined leaves the element out. */
export function sliceElements(z: number, changes: SliceElements = {}): SliceElements {
  return {
    ImageType: 'ORIGINAL\\PRIMARY\\AXIAL',
    Modality: 'CT',
    PatientID: 'P1',
    SeriesInstanceUID: '1.2.3',
    InstanceNumber: '1',
    ImagePositionPatient: `-10\\-20\\${z}`,
    ImageOrientationPatient: '1\\0\\0\\0\\1\\0',
    SamplesPerPixel: 1,
    PhotometricInterpretation: 'MONOCHROME2',
    Rows: 2,
    Columns: 3,
    PixelSpacing: '0.5\\0.25',
    BitsAllocated: 16,
    BitsStored: 16,
    HighBit: 15,
    PixelRepresentation: 1,
    RescaleIntercept: '-1000',
    RescaleSlope: '1',
    PixelData: words(1, 2, 3, 4, 5, 6),
    ...changes,
  };
}

export interface FileOptions {
  /** Default: explicit little endian. */
  transferSyntax?: string;
  /** The transfer syntax by which the data set is encoded, if it is another one. */
  encodedAs?: string;
  preamble?: boolean;
  meta?: boolean;
  /** Whole elements by their tags, eight hexadecimal digits. */
  raw?: Readonly<Record<string, Uint8Array>>;
}

export function dicomBytes(elements: SliceElements, options: FileOptions = {}): Uint8Array {
  const { transferSyntax = EXPLICIT, preamble = true, meta = true, raw = {} } = options;
  const { encodedAs = transferSyntax } = options;
  const order = { implicit: encodedAs === IMPLICIT, big: encodedAs === BIG_ENDIAN };
  const encoded = Object.entries(elements)
    .filter((entry): entry is [Keyword, Value] => entry[1] !== undefined)
    .map(([keyword, value]): [string, Uint8Array] => [
      tags[keyword],
      element({ tag: tags[keyword], vr: vrOf(keyword), value }, order),
    ]);
  const sorted = [...encoded, ...Object.entries(raw)].sort(([a], [b]) => (a < b ? -1 : 1));
  const dataset = Buffer.concat(sorted.map(([, bytes]) => bytes));
  const syntax = element(
    { tag: '00020010', vr: 'UI', value: transferSyntax },
    { implicit: false, big: false },
  );
  const group = Buffer.alloc(4);
  group.writeUInt32LE(syntax.length);
  const head = element({ tag: '00020000', vr: 'UL', value: group }, { implicit: false, big: false });
  return new Uint8Array(
    Buffer.concat([
      preamble ? Buffer.concat([Buffer.alloc(128), Buffer.from('DICM')]) : Buffer.alloc(0),
      meta ? Buffer.concat([head, syntax]) : Buffer.alloc(0),
      transferSyntax === DEFLATED ? deflateRawSync(dataset) : dataset,
    ]),
  );
}

function element(
  { tag, vr, value }: { tag: string; vr: string; value: Value },
  { implicit, big }: { implicit: boolean; big: boolean },
): Buffer {
  const u16 = (number: number) => {
    const bytes = Buffer.alloc(2);
    return big ? (bytes.writeUInt16BE(number), bytes) : (bytes.writeUInt16LE(number), bytes);
  };
  const u32 = (number: number) =>
    Buffer.concat(
      big ? [u16(number >>> 16), u16(number & 0xffff)] : [u16(number & 0xffff), u16(number >>> 16)],
    );
  const name = Buffer.concat([u16(parseInt(tag.slice(0, 4), 16)), u16(parseInt(tag.slice(4), 16))]);
  if (Array.isArray(value)) {
    const item = (bytes: Uint8Array) =>
      Buffer.concat([Buffer.of(0xfe, 0xff, 0, 0xe0), u32(bytes.length), bytes]);
    const end = Buffer.of(0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0);
    return Buffer.concat([
      name,
      Buffer.from('OB\0\0'),
      u32(0xffffffff),
      item(new Uint8Array()),
      ...value.map(item),
      end,
    ]);
  }
  const content =
    typeof value === 'number'
      ? u16(value & 0xffff)
      : typeof value === 'string'
        ? Buffer.from(value.length % 2 === 0 ? value : `${value} `, 'latin1')
        : big && vr === 'OW'
          ? Buffer.from(value).swap16()
          : Buffer.from(value);
  const length = implicit
    ? u32(content.length)
    : LONG.includes(vr)
      ? Buffer.concat([Buffer.from(`${vr}\0\0`), u32(content.length)])
      : Buffer.concat([Buffer.from(vr), u16(content.length)]);
  return Buffer.concat([name, length, content]);
}

/** RLE Lossless of 16-bit samples: high bytes, then low bytes, all as literal runs. */
export function rleOf(samples: readonly number[]): Uint8Array {
  const segment = (bytes: number[]) => {
    const runs: number[] = [];
    for (let at = 0; at < bytes.length; at += 128) {
      const run = bytes.slice(at, at + 128);
      runs.push(run.length - 1, ...run);
    }
    return Buffer.from(runs.length % 2 === 0 ? runs : [...runs, 128]);
  };
  const high = segment(samples.map((sample) => (sample >> 8) & 0xff));
  const low = segment(samples.map((sample) => sample & 0xff));
  const header = Buffer.alloc(64);
  header.writeUInt32LE(2, 0);
  header.writeUInt32LE(64, 4);
  header.writeUInt32LE(64 + high.length, 8);
  return new Uint8Array(Buffer.concat([header, high, low]));
}
