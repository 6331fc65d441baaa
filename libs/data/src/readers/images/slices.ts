// Decoding one slice: from the bytes of a JPEG or PNG file to 8-bit grey values.
import type { GreyImage } from '../../scan.ts';
import { messageOf } from '@ct-ensemble/core';
import sharp from 'sharp';
import { contentOfBytes } from '../other-content.ts';
import { requireFewJpegScans } from './jpeg-scans.ts';
import { decodeGreyJpeg, MAX_PIXELS } from './jpeg.ts';

sharp.cache(false); // A cache would be useless: no slice is decoded twice.

export interface DecodedSlice {
  image: GreyImage;
  /** What the conversion to 8-bit grey lost, such as `16 bits scaled to 8`; null if nothing. */
  loss: string | null;
}

/**
 * Decodes a slice to 8-bit grey at its own size. The stored values are kept: ICC profiles, EXIF orientation and
 * transparency are ignored. Colour becomes grey by the luma of ITU-R 601 (as in `cv2.imread(…, IMREAD_GRAYSCALE)` and
 * Pillow's `convert('L')`); 16 bits become 8 as v / 257, rounded; CMYK is converted through sRGB, which is approximate.
 *
 * Decoding is strict. Throws an Error with the reason for everything that the JPEG or PNG decoder warns about (cut short,
 * corrupt data, bad checksum), for a JPEG without its end marker, which decoders would fill up with grey, for more than
 * 4096² pixels and for a JPEG of more than 100 scans.
 */
export async function decodeSlice(bytes: Uint8Array): Promise<DecodedSlice> {
  const { height, width, values, loss } = await decodeValues(bytes);
  const data =
    values instanceof Uint8Array ? values : Uint8Array.from(values, (value) => Math.round(value / 257));
  return { image: { height, width, data }, loss };
}

/** A decoded slice, grey; 16-bit values are not scaled. */
export interface SliceValues {
  height: number;
  width: number;
  /** C order [height, width]. */
  values: Uint8Array | Uint16Array;
  /** What `decodeSlice` loses. */
  loss: string | null;
}

/** Whether the bytes are a PNG of 16 bits, by its header. */
export const isPng16 = (bytes: Uint8Array) =>
  bytes.length > 24 && bytes[0] === 0x89 && bytes[1] === 0x50 && bytes[24] === 16;

/** As `decodeSlice`, without scaling 16 bits to 8. */
export async function decodeValues(bytes: Uint8Array): Promise<SliceValues> {
  if (bytes.length === 0) throw new Error('the file is empty');
  const other = contentOfBytes(bytes);
  if (other !== null) throw new Error(`${other.problem} (${other.remedy})`);
  requireFewJpegScans(bytes);
  const image = hasEndMarker(bytes) ? await decodeGreyJpeg(bytes) : null;
  if (image === null) return decodeAny(bytes);
  return { height: image.height, width: image.width, values: image.data, loss: null };
}

async function decodeAny(bytes: Uint8Array): Promise<SliceValues> {
  try {
    const metadata = await sharp(bytes, { limitInputPixels: false }).metadata();
    const { width, height } = metadata;
    if (width * height > MAX_PIXELS)
      throw new Error(`is ${width}×${height} pixels; a slice may have at most ${MAX_PIXELS}`);
    if (metadata.format === 'jpeg' && !hasEndMarker(bytes))
      throw new Error('the JPEG has no end marker, its data is cut short');
    const bits = metadata.depth === 'ushort' ? 16 : 8;
    const grey = metadata.space === 'b-w' || metadata.space === 'grey16';
    const space = grey ? (bits === 16 ? 'grey16' : 'b-w') : bits === 16 ? 'rgb16' : 'srgb';
    const { data, info } = await sharp(bytes, {
      failOn: 'warning',
      ignoreIcc: true,
      limitInputPixels: MAX_PIXELS,
    })
      .removeAlpha()
      .toColourspace(space)
      .raw({ depth: bits === 16 ? 'ushort' : 'uchar' })
      .toBuffer({ resolveWithObject: true });
    const stored = bits === 16 ? new Uint16Array(data.buffer, data.byteOffset, data.length / 2) : data;
    const values = toGrey(stored, info.channels);
    const loss =
      bits === 16
        ? '16 bits scaled to 8'
        : metadata.space === 'cmyk'
          ? 'CMYK made grey, the values are approximate'
          : null;
    return { height: info.height, width: info.width, values, loss };
  } catch (error) {
    throw new Error(messageOf(error).replace(/\s+/g, ' ').trim(), { cause: error });
  }
}

function toGrey(values: Uint8Array | Uint16Array, channels: number): Uint8Array | Uint16Array {
  if (channels === 1) return values;
  const grey = new (values instanceof Uint8Array ? Uint8Array : Uint16Array)(values.length / channels);
  for (let i = 0; i < grey.length; i++) {
    const at = i * channels;
    grey[i] = (values[at]! * 19595 + values[at + 1]! * 38470 + values[at + 2]! * 7471 + 0x8000) / 0x10000;
  }
  return grey;
}

/**
 * Whether a JPEG has an end marker (FF D9) after its last start of scan (FF DA). Neither byte pair occurs within image
 * data, where every byte FF is followed by a zero byte.
 */
function hasEndMarker(jpeg: Uint8Array): boolean {
  const bytes = Buffer.from(jpeg.buffer, jpeg.byteOffset, jpeg.length);
  return bytes.lastIndexOf(Buffer.of(0xff, 0xd9)) >= bytes.lastIndexOf(Buffer.of(0xff, 0xda));
}
