// From the pixel data of a DICOM file to Hounsfield units, one frame at a time; compressed frames by dicom-codec.
import type { Codec } from '@cornerstonejs/dicom-codec';
import { messageOf } from '@ct-ensemble/core';
import type { Dataset } from 'dcmjs';
import { createRequire } from 'node:module';
import { viewOf } from './dicom-bytes.ts';
import { BIG_ENDIAN, DEFLATED, EXPLICIT, fieldName, IMPLICIT, tags, type Elements } from './dicom-dataset.ts';

export const AIR = -1024;
const LOSSLESS = ['1.2.840.10008.1.2.4.57', '1.2.840.10008.1.2.4.70'];
const RLE = '1.2.840.10008.1.2.5';
const JPEG_BASELINE = '1.2.840.10008.1.2.4.50';
/** Of 8 bits a sample, which a baseline decoder reads, or of 12. */
const JPEG_EXTENDED = '1.2.840.10008.1.2.4.51';

const require = createRequire(import.meta.url);
const loadCodec = () => {
  // dicom-codec asks for the JavaScript build of OpenJPEG, which is slower than the WebAssembly one beside it.
  const beside = createRequire(require.resolve('@cornerstonejs/dicom-codec'));
  const wasm = beside.resolve('@cornerstonejs/codec-openjpeg/wasmjs');
  beside(wasm);
  require.cache[beside.resolve('@cornerstonejs/codec-openjpeg')] = require.cache[wasm];
  return require('@cornerstonejs/dicom-codec') as Codec;
};
let codec = loadCodec();

/** How one frame's samples lie in its bytes. */
export interface SampleFormat {
  rows: number;
  columns: number;
  bitsAllocated: 8 | 16;
  bitsStored: number;
  highBit: number;
  signed: boolean;
}

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
  frames: number;
}

/**
 * The encoded bytes of every frame, checked against the length that the format asks for. Throws an Error with the reason.
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
  if (!codec.hasCodec(transferSyntax)) throw new Error(`transfer syntax ${transferSyntax} is not supported`);
  if (frames === 1) return [joined(parts)];
  if (parts.length !== frames)
    throw new Error(
      `field ${name} has ${parts.length} fragments for ${frames} frames and no table that tells them apart`,
    );
  return parts;
}

/** One frame's samples, little endian, one or two bytes each. Throws an Error with the reason. */
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
  else requireCodedSize(encoded, format);
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
  const frame = LOSSLESS.includes(transferSyntax) ? withSpareBits(encoded) : encoded;
  const syntax = transferSyntax === JPEG_EXTENDED ? JPEG_BASELINE : transferSyntax;
  const bytes = await inTurn(() => decodeQuietly(frame, info, syntax));
  const size = bytes.length / (rows * columns);
  if (size !== 1 && size !== 2)
    throw new Error(
      `field ${fieldName('PixelData')} cannot be decoded: ${bytes.length} bytes came out for ${rows} × ${columns} samples`,
    );
  return size === 1 ? bytes : wordsOf(bytes);
}

let turn: Promise<unknown> = Promise.resolve();
/** One at a time: a decoder's result lies in memory that its next run overwrites. */
function inTurn<T>(work: () => Promise<T>): Promise<T> {
  const result = turn.then(work);
  turn = result.catch(() => undefined);
  return result;
}

/** The decoders take `console` once, when they are first used, and write to it ever after. */
async function decodeQuietly(
  ...[encoded, info, transferSyntax]: Parameters<Codec['decode']>
): Promise<Uint8Array> {
  const { log, warn, error } = console;
  const ignore = () => undefined;
  if (!started.has(transferSyntax)) Object.assign(console, { log: ignore, warn: ignore, error: ignore });
  try {
    const { imageFrame } = await codec.decode(encoded, info, transferSyntax);
    return new Uint8Array(imageFrame.buffer, imageFrame.byteOffset, imageFrame.byteLength).slice();
  } catch (cause) {
    renewCodec(encoded.length + 2 * info.rows * info.columns);
    const reason = typeof cause === 'number' ? 'the decoder gave up' : messageOf(cause);
    throw new Error(
      `field ${fieldName('PixelData')} cannot be decoded: ${reason.replace(/\s+/g, ' ').trim()}`,
      {
        cause,
      },
    );
  } finally {
    Object.assign(console, { log, warn, error });
    started.add(transferSyntax);
  }
}
const started = new Set<string>();

/** A decoder that fails keeps its memory, until none is left for sound images: then only a fresh one helps. */
function renewCodec(bytes: number) {
  lost += bytes;
  if (lost < 2 ** 26) return;
  for (const path of Object.keys(require.cache))
    if (path.includes('@cornerstonejs')) Reflect.deleteProperty(require.cache, path);
  codec = loadCodec();
  started.clear();
  lost = 0;
}
let lost = 0;

/** Decoders allocate what the coded image's own header says. */
function requireCodedSize(encoded: Uint8Array, { rows, columns }: SampleFormat) {
  const isJpeg = encoded[0] === 0xff && encoded[1] === 0xd8;
  const coded = isJpeg ? jpegSize(encoded) : jpeg2000Size(encoded);
  if (coded === undefined)
    throw new Error(`field ${fieldName('PixelData')} does not hold an image of its transfer syntax`);
  if (coded.rows !== rows || coded.columns !== columns)
    throw new Error(
      `field ${fieldName('PixelData')} holds an image of ${coded.rows} × ${coded.columns}, the header says ${rows} × ${columns}`,
    );
  // Without it decoders fill the rest with zeros, in silence.
  if (isJpeg && endMarkerOf(encoded) < encoded.length - 64)
    throw new Error(`field ${fieldName('PixelData')} holds a JPEG without its end marker: it is cut short`);
}

const endMarkerOf = (bytes: Uint8Array) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).lastIndexOf(Buffer.of(0xff, 0xd9));

/** jpeg-lossless-decoder-js 2.1.2 looks eight bits ahead, and drops the last sample where the end marker comes sooner. */
function withSpareBits(jpeg: Uint8Array): Uint8Array {
  const end = endMarkerOf(jpeg);
  return new Uint8Array(Buffer.concat([jpeg.subarray(0, end), new Uint8Array(8), jpeg.subarray(end)]));
}

/** From the frame header of JPEG (SOF0 to SOF15) or JPEG-LS (SOF55). */
function jpegSize(bytes: Uint8Array) {
  const view = viewOf(bytes);
  for (let at = 2; at + 9 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1]!;
    if (marker === 0xf7 || (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)))
      return { bits: bytes[at + 4]!, rows: view.getUint16(at + 5), columns: view.getUint16(at + 7) };
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return undefined;
}

/** From the SIZ marker behind the start of the codestream. */
function jpeg2000Size(bytes: Uint8Array) {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(
    Buffer.of(0xff, 0x4f, 0xff, 0x51),
  );
  if (at < 0 || at + 42 > bytes.length) return undefined;
  const view = viewOf(bytes);
  const size = (end: number) => view.getUint32(at + end) - view.getUint32(at + end + 8);
  return view.getUint16(at + 40) === 1 ? { rows: size(12), columns: size(8) } : undefined;
}

/** The decoder walks from offset to offset without looking at the length. */
function requireRleHeader(bytes: Uint8Array, segments: number) {
  const view = viewOf(bytes);
  const sound =
    bytes.length > 64 &&
    view.getUint32(0, true) === segments &&
    Array.from({ length: 15 }, (_, i) => view.getUint32(4 + 4 * i, true)).every((offset, i, offsets) =>
      i < segments ? offset >= (i === 0 ? 64 : offsets[i - 1]!) && offset < bytes.length : offset === 0,
    );
  if (!sound) throw new Error(`field ${fieldName('PixelData')} does not hold ${segments} RLE segments`);
}

export interface Rescale {
  slope: number;
  intercept: number;
  /** Stored values that stand for no measurement, both ends among them. */
  padding: { from: number; to: number } | null;
}

export function rescaleOf(elements: Elements, { bitsAllocated, signed }: SampleFormat): Rescale {
  const slope = elements.number('RescaleSlope') ?? 1;
  if (slope === 0) throw new Error(`field ${fieldName('RescaleSlope')} is 0`);
  // US or SS: written as either, and read as US where the file does not say.
  const stored = (value: number) =>
    signed ? (value << (32 - bitsAllocated)) >> (32 - bitsAllocated) : value;
  const first = elements.numbers('PixelPaddingValue', 1)?.[0];
  const last = elements.numbers('PixelPaddingRangeLimit', 1)?.[0] ?? first;
  const ends = first === undefined ? null : [stored(first), stored(last!)];
  return {
    slope,
    intercept: elements.number('RescaleIntercept') ?? 0,
    padding: ends && { from: Math.min(...ends), to: Math.max(...ends) },
  };
}

/** Hounsfield units, rounded and cut to int16; `padded` samples were padding and are now air. */
export function toHounsfield(
  samples: Uint8Array | Uint16Array,
  format: SampleFormat,
  rescale: Rescale,
): { data: Int16Array; padded: number } {
  const { table, isPadding } = lookupTable(format, rescale);
  const data = new Int16Array(samples.length);
  let padded = 0;
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i]!;
    data[i] = table[sample]!;
    padded += isPadding[sample]!;
  }
  return { data, padded };
}

function lookupTable({ bitsStored, highBit, signed }: SampleFormat, rescale: Rescale) {
  const { slope, intercept, padding } = rescale;
  const table = new Int16Array(1 << 16);
  const isPadding = new Uint8Array(1 << 16);
  const unused = 32 - bitsStored;
  for (let bits = 0; bits < table.length; bits++) {
    const shifted = (bits >> (highBit + 1 - bitsStored)) << unused;
    const stored = signed ? shifted >> unused : shifted >>> unused;
    // Some writers put padding into bits above BitsStored.
    const padded =
      padding !== null && (within(padding, stored) || within(padding, signed ? (bits << 16) >> 16 : bits));
    const hounsfield = padded ? AIR : Math.round(stored * slope + intercept);
    table[bits] = Math.max(-32768, Math.min(32767, hounsfield));
    isPadding[bits] = padded ? 1 : 0;
  }
  return { table, isPadding };
}

const within = ({ from, to }: { from: number; to: number }, value: number) => value >= from && value <= to;
const isNative = (transferSyntax: string) =>
  [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED].includes(transferSyntax);

function wordsOf(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length >> 1);
}

/** dcmjs gives a frame as its bytes, or as the fragments that it lies in. */
function bytesOf(value: unknown): Uint8Array {
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return Array.isArray(value) ? joined(value.map(bytesOf)) : new Uint8Array();
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? parts[0]! : new Uint8Array(Buffer.concat(parts));
}
