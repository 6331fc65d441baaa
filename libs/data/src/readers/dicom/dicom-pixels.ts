// From the stored bytes of a frame to its samples.
import { summaryOf, type FrameSummary } from './compressed-frame.ts';
import { decodeCompressed, hasCodec } from './dicom-codec.ts';
import { fieldName, type Elements } from './dicom-elements.ts';
import { decodeJpegLossless } from './jpeg-lossless.ts';
import { decodeRle } from './rle.ts';
import {
  BIG_ENDIAN,
  GE_PRIVATE,
  isNative,
  JPEG_BASELINE,
  JPEG_EXTENDED,
  JPEG_LOSSLESS,
  mayBeLossy,
  RLE,
} from './transfer-syntaxes.ts';

/** How a frame's samples are stored (PS3.3, C.7.6.3). */
export interface SampleFormat {
  rows: number;
  columns: number;
  bitsAllocated: 8 | 16;
  bitsStored: number;
  highBit: number;
  signed: boolean;
}

/** Reads the format from the header. Throws an Error that names the field if the reader does not support a value. */
export function sampleFormat(elements: Elements): SampleFormat {
  const rows = elements.whole('Rows', { from: 1, to: 4096 });
  const columns = elements.whole('Columns', { from: 1, to: 4096 });
  elements.whole('SamplesPerPixel', { from: 1, to: 1, missing: 1 });
  const bitsAllocated = elements.whole('BitsAllocated', { from: 8, to: 16 });
  if (bitsAllocated !== 8 && bitsAllocated !== 16)
    throw new Error(`field ${fieldName('BitsAllocated')}: ${bitsAllocated} is neither 8 nor 16`);
  const bitsStored = elements.whole('BitsStored', { from: 1, to: bitsAllocated, missing: bitsAllocated });
  const highBit = elements.whole('HighBit', {
    from: bitsStored - 1,
    to: bitsAllocated - 1,
    missing: bitsStored - 1,
  });
  const signed = elements.whole('PixelRepresentation', { from: 0, to: 1, missing: 0 }) === 1;
  return { rows, columns, bitsAllocated, bitsStored, highBit, signed };
}

/** Throws an Error if pixel data of this transfer syntax cannot be read. */
export function requireSupported(transferSyntax: string) {
  if (!isNative(transferSyntax) && !hasCodec(transferSyntax))
    throw new Error(`transfer syntax ${transferSyntax} is not supported`);
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
  transferSyntax: string,
): Promise<DecodedFrame> {
  const stored = (samples: Uint8Array | Uint16Array) => ({ samples, lossy: null, surplus: 0 });
  if (isNative(transferSyntax)) return stored(nativeSamples(encoded, format, transferSyntax));
  const bytesPerSample = format.bitsAllocated === 8 ? 1 : 2;
  if (transferSyntax === RLE) return stored(decodeRle(encoded, format.rows * format.columns, bytesPerSample));
  const summary = summaryOf(encoded, format);
  const samples = await decodedSamples(encoded, summary, { format, transferSyntax });
  const surplus = encoded.subarray(summary.length).some((byte) => byte !== 0)
    ? encoded.length - summary.length
    : 0;
  const { bits, signed } = summary;
  return { samples, lossy: mayBeLossy(transferSyntax) ? { bits, signed } : null, surplus };
}

function nativeSamples(encoded: Uint8Array, { bitsAllocated }: SampleFormat, transferSyntax: string) {
  if (bitsAllocated === 8) return encoded;
  const bytes = Buffer.from(encoded);
  if ([BIG_ENDIAN, GE_PRIVATE].includes(transferSyntax)) bytes.swap16();
  return wordsOf(bytes);
}

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
