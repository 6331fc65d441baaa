// What a compressed frame says about itself, checked before a decoder allocates memory by it: its size, and whether it is
// whole. Decoders fill what is missing with zeros and report nothing.
import { requireFewJpegScans } from '../images/jpeg-scans.ts';
import { viewOf } from './dicom-bytes.ts';

export interface FrameSummary {
  rows: number;
  columns: number;
  /** Bits per sample. */
  bits: number;
  /** Whether the samples are signed; JPEG and JPEG-LS have unsigned samples only. */
  signed: boolean;
  /** Whether the coding is lossy, whatever the transfer syntax says: DCT, near-lossless JPEG-LS, irreversible JPEG 2000. */
  lossy: boolean;
  /** Bytes of the image, up to and including its end marker. */
  length: number;
}

/**
 * What a JPEG, JPEG-LS or JPEG 2000 frame says about itself. Throws an Error with the reason if it is none of these, has
 * another size than the DICOM header states, or is cut short.
 */
export function summaryOf(
  frame: Uint8Array,
  { rows, columns }: { rows: number; columns: number },
): FrameSummary {
  const isJpeg = frame[0] === 0xff && frame[1] === 0xd8;
  requireFewJpegScans(frame);
  const summary = isJpeg ? jpegSummary(frame) : jpeg2000Summary(frame);
  if (summary === undefined) throw new Error('does not hold an image of its transfer syntax');
  if (summary.rows !== rows || summary.columns !== columns)
    throw new Error(
      `holds an image of ${summary.rows} × ${summary.columns}, the header says ${rows} × ${columns}`,
    );
  if (summary.length === null)
    throw new Error(`holds a ${isJpeg ? 'JPEG' : 'JPEG 2000'} without its end marker: it is cut short`);
  return { ...summary, length: summary.length };
}

/** A marker segment of a JPEG: its parameters are the bytes from `at` to `end`. */
export interface JpegSegment {
  marker: number;
  at: number;
  end: number;
}

/**
 * The marker segments of a JPEG or JPEG-LS, and its length up to and including the end marker (EOI); null if the end
 * marker is missing.
 */
export function jpegSegments(bytes: Uint8Array): { segments: JpegSegment[]; length: number | null } {
  const segments: JpegSegment[] = [];
  let at = 2;
  while (at + 1 < bytes.length) {
    const marker = bytes[at + 1]!;
    // In entropy-coded data FF is followed by 00 (JPEG) or a byte below 80 (JPEG-LS), or is a restart marker.
    if (bytes[at] !== 0xff || marker < 0x80 || (marker >= 0xd0 && marker <= 0xd7)) {
      if (segments.at(-1)?.marker !== 0xda) break;
      const next = bytes.indexOf(0xff, at + 1);
      at = next < 0 ? bytes.length : next;
    } else if (marker === 0xff) at++;
    else if (marker === 0xd9) return { segments, length: at + 2 };
    else {
      const length = at + 3 < bytes.length ? bytes[at + 2]! * 256 + bytes[at + 3]! : 0;
      if (length < 2) break;
      segments.push({ marker, at: at + 4, end: Math.min(at + 2 + length, bytes.length) });
      at += 2 + length;
    }
  }
  return { segments, length: null };
}

type Summary = Omit<FrameSummary, 'length'> & { length: number | null };

/** From the frame header of a JPEG (SOF0 to SOF15) or JPEG-LS (SOF55). */
function jpegSummary(bytes: Uint8Array): Summary | undefined {
  const { segments, length } = jpegSegments(bytes);
  const header = segments.find(
    ({ marker }) =>
      marker === 0xf7 || (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)),
  );
  if (header === undefined || header.end - header.at < 6) return undefined;
  const view = viewOf(bytes);
  const [rows, columns] = [view.getUint16(header.at + 1), view.getUint16(header.at + 3)];
  const scan = segments.find(({ marker }) => marker === 0xda);
  const components = scan ? bytes[scan.at]! : 0;
  const isNear = scan !== undefined && bytes[scan.at + 1 + 2 * components]! > 0; // NEAR (ITU-T T.87, C.2.3)
  const lossy = header.marker === 0xf7 ? isNear : ![0xc3, 0xc7, 0xcb, 0xcf].includes(header.marker);
  return { bits: bytes[header.at]!, rows, columns, signed: false, lossy, length };
}

/**
 * From the SIZ marker that follows the start of the codestream (ITU-T T.800, annex A), which may stand within the boxes
 * of a JP2 file; undefined unless it states one component.
 */
function jpeg2000Summary(bytes: Uint8Array): Summary | undefined {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(
    Buffer.of(0xff, 0x4f, 0xff, 0x51),
  );
  if (at < 0 || at + 43 > bytes.length) return undefined;
  const view = viewOf(bytes);
  const size = (end: number) => view.getUint32(at + end) - view.getUint32(at + end + 8);
  if (view.getUint16(at + 40) !== 1) return undefined;
  const depth = view.getUint8(at + 42);
  return {
    rows: size(12),
    columns: size(8),
    bits: (depth & 0x7f) + 1,
    signed: depth >= 0x80,
    lossy: isIrreversible(bytes, at + 2),
    length: codestreamEnd(bytes, at + 2),
  };
}

/** Whether the wavelet of a JPEG 2000 codestream is the irreversible one (9-7), by its COD marker (ITU-T T.800, A.6.1). */
function isIrreversible(bytes: Uint8Array, start: number): boolean {
  const view = viewOf(bytes);
  for (let at = start; at + 14 <= bytes.length;) {
    const marker = view.getUint16(at);
    if (marker === 0xff52) return bytes[at + 13] === 0; // COD: the transformation, 0 for 9-7
    if (marker < 0xff00 || marker === 0xff90) return false;
    at += 2 + view.getUint16(at + 2);
  }
  return false;
}

/** The end of a JPEG 2000 codestream: behind the end marker (EOC) after its last tile part; null if that is missing. */
function codestreamEnd(bytes: Uint8Array, start: number): number | null {
  const view = viewOf(bytes);
  for (let at = start; at + 2 <= bytes.length;) {
    const marker = view.getUint16(at);
    if (marker === 0xffd9) return at + 2;
    if (marker < 0xff00 || at + 12 > bytes.length) return null;
    const isTilePart = marker === 0xff90; // SOT: its Psot is the length of the whole tile part
    const length = isTilePart ? view.getUint32(at + 6) : 2 + view.getUint16(at + 2);
    if (isTilePart && length === 0) return lastTilePartEnd(bytes, at); // it lasts until the end of the codestream
    if (length < (isTilePart ? 14 : 4)) return null;
    at += length;
  }
  return null;
}

/** Packets hold no FF followed by a byte above 8F: the first end marker is the codestream's. */
function lastTilePartEnd(bytes: Uint8Array, at: number): number | null {
  const end = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(
    Buffer.of(0xff, 0xd9),
    at + 12,
  );
  return end < 0 ? null : end + 2;
}
