// From the bytes of a DICOM file to its elements: DICOM PS3.5 and PS3.10, parsed by dcmjs.
import { messageOf } from '@ct-ensemble/core';
import dcmjs, { type Dataset } from 'dcmjs';
import { inflateRawSync } from 'node:zlib';
import { elementHeader, hasPreamble, isDicom, isVR, latin1, viewOf } from './dicom-bytes.ts';

dcmjs.log.setLevel('silent');
dcmjs.log.getLogger('validation.dcmjs').setLevel('silent');

export const IMPLICIT = '1.2.840.10008.1.2';
export const EXPLICIT = '1.2.840.10008.1.2.1';
export const BIG_ENDIAN = '1.2.840.10008.1.2.2';
export const DEFLATED = '1.2.840.10008.1.2.1.99';

const MOST_INFLATED = 2 ** 28;

/** Elements by keyword: the tag as dcmjs writes it. */
export const tags = {
  ImageType: '00080008',
  Modality: '00080060',
  PatientID: '00100020',
  SliceThickness: '00180050',
  SpacingBetweenSlices: '00180088',
  GantryDetectorTilt: '00181120',
  SeriesInstanceUID: '0020000E',
  InstanceNumber: '00200013',
  ImagePositionPatient: '00200032',
  ImageOrientationPatient: '00200037',
  FrameOfReferenceUID: '00200052',
  SamplesPerPixel: '00280002',
  PhotometricInterpretation: '00280004',
  NumberOfFrames: '00280008',
  Rows: '00280010',
  Columns: '00280011',
  PixelSpacing: '00280030',
  BitsAllocated: '00280100',
  BitsStored: '00280101',
  HighBit: '00280102',
  PixelRepresentation: '00280103',
  PixelPaddingValue: '00280120',
  PixelPaddingRangeLimit: '00280121',
  WindowCenter: '00281050',
  WindowWidth: '00281051',
  RescaleIntercept: '00281052',
  RescaleSlope: '00281053',
  SharedFunctionalGroupsSequence: '52009229',
  PerFrameFunctionalGroupsSequence: '52009230',
  PixelData: '7FE00010',
} as const;
export type Keyword = keyof typeof tags;

/** `Rows (0028,0010)`. */
export const fieldName = (keyword: Keyword) =>
  `${keyword} (${tags[keyword].slice(0, 4)},${tags[keyword].slice(4)})`;

export interface ParsedFile {
  transferSyntax: string;
  dataset: Dataset;
}

/**
 * Parses a file up to its pixel data. What dcmjs cannot read ends the parsing in silence: the elements behind it are missing.
 * The file's meta information is read here and replaced, so that a missing preamble, a wrong group length and deflation
 * are no matter. Throws an Error with the reason.
 */
export function parseDicom(bytes: Uint8Array): ParsedFile {
  if (bytes.length === 0) throw new Error('the file is empty');
  if (!isDicom(bytes)) throw new Error('is not a DICOM file: no DICM at byte 128');
  const { start, transferSyntax } = readMeta(bytes);
  const body = transferSyntax === DEFLATED ? inflate(bytes.subarray(start)) : bytes.subarray(start);
  const encoding = [IMPLICIT, BIG_ENDIAN].includes(transferSyntax) ? transferSyntax : EXPLICIT;
  requireElements(body, encoding);
  requirePixelData(body, encoding);
  try {
    const { dict } = dcmjs.data.DicomMessage.readFile(withMeta(body, encoding), {
      ignoreErrors: true,
      untilTag: tags.PixelData,
      includeUntilTagValue: true,
      noCopy: true,
    });
    return { transferSyntax, dataset: dict };
  } catch (error) {
    throw new Error(`cannot be parsed (${messageOf(error)})`, { cause: error });
  }
}

const PIXEL_DATA = 0x7fe00010;
const TRANSFER_SYNTAX = 0x00020010;

/** More elements than this out of order are no sloppiness of a writer: the file is damaged, or made to keep a parser busy. */
const MOST_OUT_OF_ORDER = 100;

/**
 * Elements stand in ascending order of their tags (PS3.5, 7.1) and end within the file. Looks at those before the first
 * sequence, and throws an Error where they do not: dcmjs would make a million elements of megabytes of zeros, and a
 * string of any length of a few bytes.
 */
function requireElements(body: Uint8Array, encoding: string) {
  const coding = { implicit: encoding === IMPLICIT, little: encoding !== BIG_ENDIAN };
  let last = -1;
  let outOfOrder = 0;
  for (let at = 0; at + 12 <= body.length;) {
    const header = elementHeader(body, at, coding);
    if (header === undefined) return;
    const { tag, value, length } = header;
    if (tag <= last && ++outOfOrder > MOST_OUT_OF_ORDER)
      throw new Error('is damaged: its elements are out of order');
    last = tag;
    if (length === 0xffffffff || tag === PIXEL_DATA) return;
    if (value + length > body.length) {
      const name = tag.toString(16).padStart(8, '0');
      throw new Error(
        `is cut short: element (${name.slice(0, 4)},${name.slice(4)}) has ${body.length - value} of its ${length} bytes`,
      );
    }
    at = value + length;
  }
}

/** dcmjs fills what a file that is cut short lacks of its pixel data with zeros. Throws an Error where it is cut. */
function requirePixelData(body: Uint8Array, encoding: string) {
  const big = encoding === BIG_ENDIAN;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const tag = big ? Buffer.of(0x7f, 0xe0, 0x00, 0x10) : Buffer.of(0xe0, 0x7f, 0x10, 0x00);
  // The same four bytes may lie before it within other values, and behind it within the pixels: only a header counts.
  for (let at = bytes.indexOf(tag); at >= 0; at = bytes.indexOf(tag, at + 1)) {
    const long = encoding !== IMPLICIT && /^O[BW]\0\0$/.test(latin1(bytes, at + 4, at + 8));
    if (encoding !== IMPLICIT && !long) continue;
    const value = at + (long ? 12 : 8);
    if (value > bytes.length) throw new Error(`is cut short within the header of ${fieldName('PixelData')}`);
    const length = big ? bytes.readUInt32BE(value - 4) : bytes.readUInt32LE(value - 4);
    if (length === 0xffffffff || value + length <= bytes.length) return;
    throw new Error(
      `is cut short: field ${fieldName('PixelData')} has ${bytes.length - value} of its ${length} bytes`,
    );
  }
}

/** The elements of group 0002, which are explicit little endian in whatever syntax the rest is. */
function readMeta(bytes: Uint8Array) {
  const view = viewOf(bytes);
  let start = hasPreamble(bytes) ? 132 : 0;
  let transferSyntax = '';
  while (start + 8 <= bytes.length && view.getUint16(start, true) === 0x0002) {
    const header = elementHeader(bytes, start, { implicit: !isVR(bytes, start + 4), little: true });
    if (header === undefined) break;
    const { tag, value, length } = header;
    if (value + length > bytes.length) throw new Error('is cut short: it ends within its meta information');
    if (tag === TRANSFER_SYNTAX) transferSyntax = trimmed(latin1(bytes, value, value + length));
    start = value + length;
  }
  return { start, transferSyntax: transferSyntax || (isVR(bytes, start + 4) ? EXPLICIT : IMPLICIT) };
}

function withMeta(body: Uint8Array, transferSyntax: string): ArrayBuffer {
  const syntax = transferSyntax.padEnd(transferSyntax.length + (transferSyntax.length % 2), '\0');
  const meta = Buffer.alloc(132 + 12 + 8 + syntax.length);
  meta.write('DICM', 128, 'latin1');
  meta.write('\x02\0\0\0UL\x04\0', 132, 'latin1');
  meta.writeUInt32LE(8 + syntax.length, 140);
  meta.write('\x02\0\x10\0UI', 144, 'latin1');
  meta.writeUInt16LE(syntax.length, 150);
  meta.write(syntax, 152, 'latin1');
  const file = new Uint8Array(meta.length + body.length);
  file.set(meta);
  file.set(body, meta.length);
  return file.buffer;
}

function inflate(bytes: Uint8Array): Uint8Array {
  try {
    return inflateRawSync(bytes, { maxOutputLength: MOST_INFLATED });
  } catch (error) {
    throw new Error(`its deflated data cannot be inflated (${messageOf(error)})`, { cause: error });
  }
}

/** Elements of one frame: of its own functional groups, then of those shared, then of the file. */
export class Elements {
  readonly #datasets: readonly Dataset[];

  constructor(datasets: readonly Dataset[]) {
    this.#datasets = datasets;
  }

  /** The values of an element; none where it is absent or empty. */
  values(keyword: Keyword): unknown[] {
    for (const dataset of this.#datasets) {
      const found = valuesOf(dataset, keyword);
      if (found.length > 0) return found;
    }
    return [];
  }

  texts(keyword: Keyword): string[] {
    return this.values(keyword).map((value) => trimmed(String(value)));
  }

  text(keyword: Keyword): string | null {
    return this.texts(keyword)[0] || null;
  }

  /** So many finite numbers, or null where the element is absent, has fewer or others. */
  numbers(keyword: Keyword, count: number): number[] | null {
    const numbers = this.texts(keyword).slice(0, count).map(numberOf);
    return numbers.length === count && numbers.every(Number.isFinite) ? numbers : null;
  }

  /** A finite number, or null where the element is absent. Throws where it is something else. */
  number(keyword: Keyword): number | null {
    const text = this.text(keyword);
    if (text === null) return null;
    const number = numberOf(text);
    if (!Number.isFinite(number))
      throw new Error(`field ${fieldName(keyword)}: “${text.slice(0, 32)}” is not a number`);
    return number;
  }

  /** A whole number between the limits. Throws where it is absent and has no default, or something else. */
  whole(keyword: Keyword, limits: { from: number; to: number; missing?: number }): number {
    const number = this.number(keyword) ?? limits.missing;
    if (number === undefined) throw new Error(`field ${fieldName(keyword)} is missing`);
    if (!Number.isInteger(number) || number < limits.from || number > limits.to)
      throw new Error(
        `field ${fieldName(keyword)}: ${number} is not a whole number from ${limits.from} to ${limits.to}`,
      );
    return number;
  }
}

/** The elements of each frame. */
export function frameElements(dataset: Dataset, frame: number): Elements {
  const groups = [
    valuesOf(dataset, 'PerFrameFunctionalGroupsSequence')[frame],
    valuesOf(dataset, 'SharedFunctionalGroupsSequence')[0],
  ].filter(isDataset);
  const macros = groups.flatMap((group) =>
    Object.values(group).flatMap((element) => (Array.isArray(element?.Value) ? element.Value : [])),
  );
  return new Elements([...macros.filter(isDataset), dataset]);
}

function valuesOf(dataset: Dataset, keyword: Keyword): unknown[] {
  const { Value, _rawValue } = dataset[tags[keyword]] ?? {};
  // Of numbers as text, dcmjs drops what is no digit: “1.O5” would become 1.5.
  const isText = Array.isArray(_rawValue) && _rawValue.every((item) => typeof item === 'string');
  const value = isText ? _rawValue : Value;
  const values: unknown[] = Array.isArray(value) ? value : [value];
  return values.filter((item) => item !== undefined && item !== null && item !== '');
}

const isDataset = (value: unknown): value is Dataset =>
  typeof value === 'object' && value !== null && !ArrayBuffer.isView(value);
const numberOf = (text: string) => (text === '' ? NaN : Number(text));
const trimmed = (text: string) => text.replace(/[\s\0]+$/, '').trimStart();
