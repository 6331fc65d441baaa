// From the bytes of a DICOM file to its elements (DICOM PS3.5 and PS3.10): checked here, parsed by dcmjs.
import { messageOf } from '@ct-ensemble/core';
import dcmjs, { type Dataset } from 'dcmjs';
import { inflateRawSync } from 'node:zlib';
import { elementHeader, hasPreamble, isDicom, isVR, latin1, trimmed, viewOf } from './dicom-bytes.ts';
import { fieldName, tags } from './dicom-elements.ts';
import { BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT } from './transfer-syntaxes.ts';

dcmjs.log.setLevel('silent');
dcmjs.log.getLogger('validation.dcmjs').setLevel('silent');

/** A deflated data set may have at most this many bytes. */
const MAX_INFLATED_BYTES = 2 ** 28;

export interface ParsedFile {
  transferSyntax: string;
  dataset: Dataset;
}

/**
 * Parses a file up to its pixel data. At an element that dcmjs cannot read the parsing ends without an error, and the
 * elements after it are missing. The file's meta information is read here and replaced by a valid one, so that files
 * with a missing preamble, a wrong group length or a deflated data set are read too. Throws an Error with the reason.
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

/** With more elements out of order than this, a file counts as damaged; some writers get a few out of order. */
const MAX_OUT_OF_ORDER = 100;

/**
 * Checks the elements before the first sequence: their tags ascend (PS3.5, 7.1), and they end within the file. Without
 * this check dcmjs would read megabytes of zeros as a million elements, and a wrong length as a string of that length.
 * Throws an Error with the reason.
 */
function requireElements(body: Uint8Array, encoding: string) {
  const coding = { implicit: encoding === IMPLICIT, little: encoding !== BIG_ENDIAN };
  let last = -1;
  let outOfOrder = 0;
  for (let at = 0; at + 12 <= body.length;) {
    const header = elementHeader(body, at, coding);
    if (header === undefined) return;
    const { tag, value, length } = header;
    if (tag <= last && ++outOfOrder > MAX_OUT_OF_ORDER)
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

/** Throws an Error if the pixel data is cut short: dcmjs would fill the missing part with zeros. */
function requirePixelData(body: Uint8Array, encoding: string) {
  const big = encoding === BIG_ENDIAN;
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length);
  const tag = big ? Buffer.of(0x7f, 0xe0, 0x00, 0x10) : Buffer.of(0xe0, 0x7f, 0x10, 0x00);
  // The bytes of the tag may also occur within other values or within the pixels: only a whole element header counts.
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

/** Reads group 0002, which is always explicit little endian: the transfer syntax, and where the data set starts. */
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

/** The data set as a file with preamble and minimal meta information. */
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
    return inflateRawSync(bytes, { maxOutputLength: MAX_INFLATED_BYTES });
  } catch (error) {
    throw new Error(`its deflated data cannot be inflated (${messageOf(error)})`, { cause: error });
  }
}
