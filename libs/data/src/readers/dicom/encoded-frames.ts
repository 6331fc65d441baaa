// The bytes of each frame, from the Pixel Data of a file: uncompressed, or which fragments make which frame.
import type { Fragment, PixelData } from './dicom-walker.ts';
import type { SampleFormat } from './dicom-pixels.ts';

export interface FrameSource {
  pixelData: PixelData;
  transferSyntax: string;
  /** Whether the samples are not compressed. */
  native: boolean;
  /** Whether uncompressed samples of several bytes are little endian. */
  little: boolean;
  /** Number of frames that the header states. */
  frames: number;
  /** The Extended Offset Table (7FE0,0001); empty if the file has none. */
  extendedOffsets: readonly number[];
}

/** The bytes of uncompressed frames. */
export const nativeLength = ({ rows, columns, bitsAllocated }: SampleFormat, frames: number) =>
  ((rows * columns * bitsAllocated) / 8) * frames;

/**
 * The bytes of every frame, compressed as they are stored or uncompressed in little endian, and the number of bytes behind
 * the last uncompressed frame. Throws an Error with the reason if there are fewer bytes or fragments than the header requires.
 */
export function encodedFrames(
  source: FrameSource,
  format: SampleFormat,
): { frames: Uint8Array[]; surplus: number } {
  const { pixelData, transferSyntax, frames, native } = source;
  if ('fragments' in pixelData) {
    if (native) throw new Error(`is compressed, but the transfer syntax ${transferSyntax} is not`);
    return { frames: compressedFrames(pixelData, source), surplus: 0 };
  }
  if (!native) throw new Error(`is not compressed, but the transfer syntax ${transferSyntax} is`);
  const { bytes } = pixelData;
  const length = nativeLength(format, 1);
  if (bytes.length < length * frames)
    throw new Error(
      `has ${bytes.length} bytes, but ${frames} × ${format.rows} × ${format.columns} samples take ${length * frames} (the file is cut short)`,
    );
  const samples = littleEndian(bytes.subarray(0, length * frames), format.bitsAllocated, source);
  return {
    frames: Array.from({ length: frames }, (_, i) => samples.subarray(i * length, (i + 1) * length)),
    surplus: bytes.length - frames * length,
  };
}

/** Big-endian samples in little endian. Samples of 8 bits are swapped in pairs if they were written as words (VR OW). */
function littleEndian(
  bytes: Uint8Array,
  bitsAllocated: number,
  { pixelData, little }: FrameSource,
): Uint8Array {
  if (little) return bytes;
  if (bitsAllocated === 8) {
    if (!('vr' in pixelData) || pixelData.vr !== 'OW') return bytes;
    const even = Buffer.alloc(bytes.length + (bytes.length % 2));
    even.set(pixelData.bytes.subarray(0, even.length));
    return even.swap16().subarray(0, bytes.length);
  }
  return bitsAllocated === 32 ? Buffer.from(bytes).swap32() : Buffer.from(bytes).swap16();
}

/** By the number of fragments, or by an offset table, or else by the markers that an image begins and ends with. */
function compressedFrames(
  { fragments, offsets }: { fragments: readonly Fragment[]; offsets: readonly number[] },
  { frames, extendedOffsets }: FrameSource,
): Uint8Array[] {
  if (fragments.length === 0) throw new Error('holds no fragment');
  if (frames === 1) return [joined(fragments)];
  if (fragments.length === frames) return fragments.map(({ bytes }) => bytes);
  const table = [offsets, extendedOffsets].find(({ length }) => length === frames);
  const starts = (table && startsByOffset(fragments, table)) ?? startsByMarkers(fragments);
  if (starts.length !== frames)
    throw new Error(
      `has ${fragments.length} fragments for ${frames} frames, and neither ${table ? 'its offset table' : 'an offset table'} nor markers assign them to frames`,
    );
  return starts.map((start, i) => joined(fragments.slice(start, starts[i + 1])));
}

/** The first fragment of each frame; undefined if an offset is not that of a fragment, or they do not ascend from 0. */
function startsByOffset(fragments: readonly Fragment[], offsets: readonly number[]): number[] | undefined {
  const starts = offsets.map((offset) => fragments.findIndex((fragment) => fragment.offset === offset));
  return starts.every((start, i) => (i === 0 ? start === 0 : start > starts[i - 1]!)) ? starts : undefined;
}

/** The fragments that begin with a start marker (SOI, SOC) and follow one that ends with an end marker (EOI, EOC). */
function startsByMarkers(fragments: readonly Fragment[]): number[] {
  return fragments.flatMap(({ bytes }, i) => {
    const begins = bytes[0] === 0xff && (bytes[1] === 0xd8 || bytes[1] === 0x4f);
    return i === 0 || (begins && endsWithMarker(fragments[i - 1]!.bytes)) ? [i] : [];
  });
}

function endsWithMarker(bytes: Uint8Array): boolean {
  const end = bytes.findLastIndex((byte) => byte !== 0) + 1;
  return bytes[end - 2] === 0xff && bytes[end - 1] === 0xd9;
}

const joined = (fragments: readonly Fragment[]) =>
  fragments.length === 1
    ? fragments[0]!.bytes
    : new Uint8Array(Buffer.concat(fragments.map(({ bytes }) => bytes)));
