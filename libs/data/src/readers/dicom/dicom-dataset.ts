// From the bytes of a DICOM file to its elements (DICOM PS3.5 and PS3.10): the meta information, the encoding of the data
// set, and its elements.
import { messageOf } from '@ct-ensemble/core';
import { inflateRawSync } from 'node:zlib';
import {
  elementHeader,
  hasPreamble,
  isDicom,
  isVR,
  latin1,
  trimmed,
  viewOf,
  type Encoding,
} from './dicom-bytes.ts';
import { Elements, tags } from './dicom-elements.ts';
import { readElements, type DataSet, type PixelData } from './dicom-walker.ts';
import { BIG_ENDIAN, DEFLATED, EXPLICIT, GE_PRIVATE, IMPLICIT } from './transfer-syntaxes.ts';

/** A deflated data set may have at most this many bytes. */
const MAX_INFLATED_BYTES = 2 ** 28;

export interface ParsedFile {
  /** UID; the one that fits the data set's encoding if the file states none. */
  transferSyntax: string;
  /** Whether uncompressed samples of several bytes are little endian. */
  little: boolean;
  dataset: DataSet;
  /** Null if the file has none. */
  pixelData: PixelData | null;
}

/**
 * Parses a file up to its pixel data. Files without a preamble or meta information are read too, and files whose data set
 * is encoded otherwise than the transfer syntax says. Throws an Error with the reason.
 */
export function parseDicom(bytes: Uint8Array): ParsedFile {
  if (bytes.length === 0) throw new Error('the file is empty');
  if (!isDicom(bytes)) throw new Error('is not a DICOM file: no DICM at byte 128');
  const { start, transferSyntax } = readMeta(bytes);
  const body = transferSyntax === DEFLATED ? inflate(bytes.subarray(start)) : bytes.subarray(start);
  const encoding = encodingOf(body, transferSyntax);
  const stated = transferSyntax || (encoding.little ? (encoding.implicit ? IMPLICIT : EXPLICIT) : BIG_ENDIAN);
  const little = encoding.little && stated !== GE_PRIVATE;
  return { transferSyntax: stated, little, ...readElements(body, encoding) };
}

/**
 * SeriesInstanceUID of a file of which only the first bytes are at hand; null if they do not hold it. Throws an Error if
 * they are damaged.
 */
export function seriesOf(start: Uint8Array): string | null {
  if (!isDicom(start)) return null;
  const meta = readMeta(start);
  if (meta.transferSyntax === DEFLATED) return null;
  const body = start.subarray(meta.start);
  const until = Number.parseInt(tags.SeriesInstanceUID, 16) + 1;
  const { dataset } = readElements(body, encodingOf(body, meta.transferSyntax), until);
  return new Elements([dataset]).text('SeriesInstanceUID');
}

const TRANSFER_SYNTAX = 0x00020010;

/**
 * How the data set is encoded, by its first element: the transfer syntax of some files says otherwise, and then the
 * first element is right (pydicom and GDCM do the same).
 */
function encodingOf(body: Uint8Array, transferSyntax: string): Encoding {
  const stated = {
    implicit: [IMPLICIT, GE_PRIVATE].includes(transferSyntax),
    little: transferSyntax !== BIG_ENDIAN,
  };
  if (body.length < 8) return stated;
  const view = viewOf(body);
  const [little, big] = [view.getUint16(0, true), view.getUint16(0, false)];
  return { implicit: !isVR(body, 4), little: little === big ? stated.little : little < big };
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
  return { start, transferSyntax };
}

function inflate(bytes: Uint8Array): Uint8Array {
  try {
    return inflateRawSync(bytes, { maxOutputLength: MAX_INFLATED_BYTES });
  } catch (error) {
    throw new Error(`its deflated data cannot be inflated (${messageOf(error)})`, { cause: error });
  }
}
