// A fast path for ordinary grey JPEGs: libjpeg-turbo decodes them to the same pixels as sharp in half the time. All other
// files are left to sharp, which also gives the reason if one cannot be decoded.
import { createRequire } from 'node:module';
import type { JPEGDecoder } from '@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs';
import type { GreyImage } from '../../scan.ts';

const require = createRequire(import.meta.url);

let decoder: JPEGDecoder | undefined;

async function newDecoder(): Promise<JPEGDecoder> {
  const load = require('@cornerstonejs/codec-libjpeg-turbo-8bit/decodewasmjs') as () => Promise<{
    JPEGDecoder: new () => JPEGDecoder;
  }>;
  return new (await load()).JPEGDecoder();
}

/** An image with more pixels than this is not decoded; CT slices have far fewer. */
export const MAX_PIXELS = 4096 ** 2;

/** Decodes a JPEG of one component of 8 bits; null for any other file, and if the decoder reports an error. */
export async function decodeGreyJpeg(bytes: Uint8Array): Promise<GreyImage | null> {
  const frame = frameOf(bytes);
  if (frame === null || frame.components !== 1 || frame.bits !== 8) return null;
  const { height, width } = frame;
  if (height * width === 0 || height * width > MAX_PIXELS) return null;
  decoder ??= await newDecoder();
  try {
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    decoder.decode();
    const decoded = decoder.getDecodedBuffer();
    return decoded.length === height * width ? { height, width, data: new Uint8Array(decoded) } : null;
  } catch {
    decoder = undefined; // its memory may be corrupt
    return null;
  }
}

/** The fields of the frame header (SOF); null if there is none before the image data. */
function frameOf(bytes: Uint8Array) {
  if (bytes[0] !== 0xff || bytes[1] !== 0xd8) return null;
  const word = (at: number) => (bytes[at]! << 8) | bytes[at + 1]!;
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; at += 2 + word(at + 2)) {
    const marker = bytes[at + 1]!;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame)
      return {
        bits: bytes[at + 4]!,
        height: word(at + 5),
        width: word(at + 7),
        components: bytes[at + 9]!,
      };
    if (marker === 0xda) return null;
  }
  return null;
}
