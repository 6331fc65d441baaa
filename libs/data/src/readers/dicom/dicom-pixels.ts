// From the stored bytes of a frame to its samples.
import { summaryOf, type FrameSummary } from './compressed-frame.ts';
import { decodeCompressed, hasCodec } from './dicom-codec.ts';
import { fieldName, type Elements } from './dicom-elements.ts';
import { viewOf } from './dicom-bytes.ts';
import { decodeJpegLossless } from './jpeg-lossless.ts';
import { decodeRle } from './rle.ts';
import { JPEG_BASELINE, JPEG_EXTENDED, JPEG_LOSSLESS, mayBeLossy, RLE } from './transfer-syntaxes.ts';

/** How a frame's samples are stored (PS3.3, C.7.6.3). */
export interface SampleFormat {
  rows: number;
  columns: number;
  bitsAllocated: 8 | 16 | 32;
  bitsStored: number;
  highBit: number;
  signed: boolean;
}

/** Reads the format from the header. Throws an Error that names the field if the reader does not support a value. */
export function sampleFormat(elements: Elements): SampleFormat {
  const rows = elements.whole('Rows', { from: 1, to: 4096 });
  const columns = elements.whole('Columns', { from: 1, to: 4096 });
  elements.whole('SamplesPerPixel', { from: 1, to: 1, missing: 1 });
  const bitsAllocated = elements.whole('BitsAllocated', { from: 8, to: 32 });
  if (bitsAllocated !== 8 && bitsAllocated !== 16 && bitsAllocated !== 32)
    throw new Error(`field ${fieldName('BitsAllocated')}: ${bitsAllocated} is not 8, 16 or 32`);
  const bitsStored = elements.whole('BitsStored', { from: 1, to: bitsAllocated, missing: bitsAllocated });
  const statedHighBit = elements.whole('HighBit', {
    from: 0,
    to: bitsAllocated - 1,
    missing: bitsStored - 1,
  });
  // BitsStored does not fit below a lower HighBit: pydicom and GDCM ignore that HighBit.
  const highBit = Math.max(statedHighBit, bitsStored - 1);
  const signed = elements.whole('PixelRepresentation', { from: 0, to: 1, missing: 0 }) === 1;
  return { rows, columns, bitsAllocated, bitsStored, highBit, signed };
}

/** Throws an Error if there is no decoder for a compressed transfer syntax. */
export function requireSupported(transferSyntax: string) {
  if (!hasCodec(transferSyntax)) throw new Error(`transfer syntax ${transferSyntax} is not supported`);
}

/** The samples of one frame, and what was unusual about its bytes. */
export interface DecodedFrame {
  /** [rows, columns], one or two bytes each. */
  samples: Uint8Array | Uint16Array;
  /** What a lossy codec's samples can hold; null if the samples are as they were stored. */
  lossy: { bits: number; signed: boolean } | null;
  /** Bytes behind the image, other than padding. */
  surplus: number;
}

/**
 * The samples of one frame. Throws an Error with the reason if the frame cannot be decoded, is cut short, or is of a
 * kind that is not supported.
 */
export async function decodeFrame(
  encoded: Uint8Array,
  format: SampleFormat,
  { transferSyntax, native }: { transferSyntax: string; native: boolean },
): Promise<DecodedFrame> {
  const stored = (samples: Uint8Array | Uint16Array) => ({ samples, lossy: null, surplus: 0 });
  if (native) return stored(nativeSamples(encoded, format));
  if (format.bitsAllocated === 32)
    throw new Error(`holds compressed samples of 32 bits, which are not supported`);
  const bytesPerSample = format.bitsAllocated === 8 ? 1 : 2;
  if (transferSyntax === RLE) return stored(decodeRle(encoded, format.rows * format.columns, bytesPerSample));
  const summary = summaryOf(encoded, format);
  const samples = await decodedSamples(encoded, summary, { format, transferSyntax });
  const surplus = encoded.subarray(summary.length).some((byte) => byte !== 0)
    ? encoded.length - summary.length
    : 0;
  const { bits, signed, lossy } = summary;
  return { samples, lossy: lossy || mayBeLossy(transferSyntax) ? { bits, signed } : null, surplus };
}

function nativeSamples(encoded: Uint8Array, format: SampleFormat) {
  if (format.bitsAllocated === 8) return encoded;
  return format.bitsAllocated === 16 ? wordsOf(encoded) : narrowed(encoded, format);
}

/** Samples of 32 bits as words of 16. Throws an Error if one needs more. */
function narrowed(encoded: Uint8Array, { bitsStored, highBit, signed }: SampleFormat): Uint16Array {
  const view = viewOf(encoded);
  const [low, high] = signed ? [-32768, 32767] : [0, 65535];
  const unused = 32 - bitsStored;
  return Uint16Array.from({ length: encoded.length >> 2 }, (_, i) => {
    const shifted = (view.getInt32(4 * i, true) >> (highBit + 1 - bitsStored)) << unused;
    const value = signed ? shifted >> unused : shifted >>> unused;
    if (value < low || value > high)
      throw new Error(`holds a sample of ${value}; samples may have 16 bits at most`);
    return value;
  });
}

/** The format of the samples that `decodeFrame` gives: those of 32 bits have become words. */
export const decodedFormat = (format: SampleFormat): SampleFormat =>
  format.bitsAllocated === 32 ? { ...format, bitsAllocated: 16, bitsStored: 16, highBit: 15 } : format;

async function decodedSamples(
  encoded: Uint8Array,
  { bits, length }: FrameSummary,
  { format, transferSyntax }: { format: SampleFormat; transferSyntax: string },
): Promise<Uint8Array | Uint16Array> {
  const { rows, columns, bitsAllocated, signed } = format;
  const image = encoded.subarray(0, length);
  if (JPEG_LOSSLESS.includes(transferSyntax)) return decodeJpegLossless(image);
  if (transferSyntax === JPEG_EXTENDED && bits !== 8)
    throw new Error(`holds a JPEG of 12 bits (transfer syntax ${JPEG_EXTENDED}), which is not supported`);
  const info = {
    rows,
    columns,
    bitsAllocated,
    samplesPerPixel: 1,
    signed,
    pixelRepresentation: signed ? 1 : 0,
  };
  const syntax = transferSyntax === JPEG_EXTENDED ? JPEG_BASELINE : transferSyntax;
  const bytes = await decodeCompressed(image, info, syntax);
  const size = bytes.length / (rows * columns);
  if (size !== 1 && size !== 2)
    throw new Error(`cannot be decoded: ${bytes.length} bytes came out for ${rows} × ${columns} samples`);
  return size === 1 ? bytes : wordsOf(bytes);
}

function wordsOf(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length >> 1);
}
