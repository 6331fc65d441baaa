// Decoding one slice: from the bytes of a JPEG or PNG file to 8-bit grey values.
import type { GreyImage } from '../../scan.ts';
import { messageOf } from '@ct-ensemble/core';
import sharp from 'sharp';
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
  if (bytes.length === 0) throw new Error('the file is empty');
  requireFewJpegScans(bytes);
  const image = hasEndMarker(bytes) ? await decodeGreyJpeg(bytes) : null;
  return image === null ? decodeAny(bytes) : { image, loss: null };
}

async function decodeAny(bytes: Uint8Array): Promise<DecodedSlice> {
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
    const values = bits === 16 ? new Uint16Array(data.buffer, data.byteOffset, data.length / 2) : data;
    const image = {
      height: info.height,
      width: info.width,
      data: toGrey8({ values, bits, channels: info.channels }),
    };
    const loss =
      bits === 16
        ? '16 bits scaled to 8'
        : metadata.space === 'cmyk'
          ? 'CMYK made grey, the values are approximate'
          : null;
    return { image, loss };
  } catch (error) {
    throw new Error(messageOf(error).replace(/\s+/g, ' ').trim(), { cause: error });
  }
}

function toGrey8(options: { values: Uint8Array | Uint16Array; bits: 8 | 16; channels: number }): Uint8Array {
  const { values, bits, channels } = options;
  if (channels === 1 && values instanceof Uint8Array) return values;
  const grey = new Uint8Array(values.length / channels);
  for (let i = 0; i < grey.length; i++) {
    const at = i * channels;
    const value =
      channels === 1
        ? values[at]!
        : (values[at]! * 19595 + values[at + 1]! * 38470 + values[at + 2]! * 7471 + 0x8000) / 0x10000;
    grey[i] = bits === 16 ? Math.round(Math.floor(value) / 257) : value;
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
