// From the pixel data of a DICOM file to the samples of each frame.
import type { Dataset } from 'dcmjs';
import { endMarkerOf, jpegSize, requireFrameSize, requireRleHeader } from './compressed-frame.ts';
import { decodeCompressed, hasCodec } from './dicom-codec.ts';
import { fieldName, tags, type Elements } from './dicom-elements.ts';
import { BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT } from './transfer-syntaxes.ts';

const JPEG_LOSSLESS = ['1.2.840.10008.1.2.4.57', '1.2.840.10008.1.2.4.70'];
const RLE = '1.2.840.10008.1.2.5';
const JPEG_BASELINE = '1.2.840.10008.1.2.4.50';
/** Of 8 bits per sample, which a baseline decoder reads, or of 12 bits, for which there is no decoder. */
const JPEG_EXTENDED = '1.2.840.10008.1.2.4.51';

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

export interface FrameSource {
  dataset: Dataset;
  transferSyntax: string;
  /** Number of frames that the header states. */
  frames: number;
}

/**
 * The bytes of every frame as they are stored, compressed or not. Throws an Error with the reason if there are fewer
 * bytes or fragments than the format requires, or the compression is not supported.
 */
export function encodedFrames(source: FrameSource, format: SampleFormat): Uint8Array[] {
  const { dataset, transferSyntax, frames } = source;
  const name = fieldName('PixelData');
  const value = dataset[tags.PixelData]?.Value;
  const parts = Array.isArray(value) ? value.map(bytesOf) : [];
  if (parts.length === 0)
    throw new Error(`field ${name} is missing: no image, or the file is damaged or cut short`);
  if (isNative(transferSyntax)) {
    const bytes = joined(parts);
    const length = (format.rows * format.columns * format.bitsAllocated) / 8;
    if (bytes.length < length * frames)
      throw new Error(
        `field ${name} has ${bytes.length} bytes, but ${frames} × ${format.rows} × ${format.columns} samples take ${length * frames} (the file is cut short)`,
      );
    return Array.from({ length: frames }, (_, i) => bytes.subarray(i * length, (i + 1) * length));
  }
  if (!hasCodec(transferSyntax)) throw new Error(`transfer syntax ${transferSyntax} is not supported`);
  if (frames === 1) return [joined(parts)];
  if (parts.length !== frames)
    throw new Error(
      `field ${name} has ${parts.length} fragments for ${frames} frames and no table that assigns fragments to frames`,
    );
  return parts;
}

/** The samples of one frame, [rows, columns], one or two bytes each. Throws an Error with the reason. */
export async function decodeFrame(
  encoded: Uint8Array,
  format: SampleFormat,
  transferSyntax: string,
): Promise<Uint8Array | Uint16Array> {
  const { rows, columns, bitsAllocated, signed } = format;
  if (isNative(transferSyntax)) {
    if (bitsAllocated === 8) return encoded;
    const bytes = Buffer.from(encoded);
    if (transferSyntax === BIG_ENDIAN) bytes.swap16();
    return wordsOf(bytes);
  }
  if (transferSyntax === RLE) requireRleHeader(encoded, bitsAllocated / 8);
  else requireFrameSize(encoded, format);
  if (transferSyntax === JPEG_EXTENDED && jpegSize(encoded)?.bits !== 8)
    throw new Error(
      `field ${fieldName('PixelData')} holds a JPEG of 12 bits (transfer syntax ${JPEG_EXTENDED}), which is not supported`,
    );
  const info = {
    rows,
    columns,
    bitsAllocated,
    samplesPerPixel: 1,
    signed,
    pixelRepresentation: signed ? 1 : 0,
  };
  const frame = JPEG_LOSSLESS.includes(transferSyntax) ? withSpareBits(encoded) : encoded;
  const syntax = transferSyntax === JPEG_EXTENDED ? JPEG_BASELINE : transferSyntax;
  const bytes = await decodeCompressed(frame, info, syntax);
  const size = bytes.length / (rows * columns);
  if (size !== 1 && size !== 2)
    throw new Error(
      `field ${fieldName('PixelData')} cannot be decoded: ${bytes.length} bytes came out for ${rows} × ${columns} samples`,
    );
  return size === 1 ? bytes : wordsOf(bytes);
}

/**
 * The JPEG with eight zero bytes before its end marker: jpeg-lossless-decoder-js 2.1.2 looks eight bits ahead, and
 * drops the last sample if the end marker comes sooner.
 */
function withSpareBits(jpeg: Uint8Array): Uint8Array {
  const end = endMarkerOf(jpeg);
  return new Uint8Array(Buffer.concat([jpeg.subarray(0, end), new Uint8Array(8), jpeg.subarray(end)]));
}

const isNative = (transferSyntax: string) =>
  [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED].includes(transferSyntax);

function wordsOf(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length >> 1);
}

/** dcmjs returns a frame as its bytes, or as a list of fragments. */
function bytesOf(value: unknown): Uint8Array {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return Array.isArray(value) ? joined(value.map(bytesOf)) : new Uint8Array();
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : new Uint8Array(Buffer.concat(parts));
}
