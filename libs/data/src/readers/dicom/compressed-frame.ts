// What a compressed frame says about itself, checked before a decoder allocates memory by it.
import { viewOf } from './dicom-bytes.ts';
import { fieldName } from './dicom-elements.ts';

/** The end marker of a JPEG may be followed by padding of up to this many bytes. */
const MAX_BYTES_AFTER_END = 64;

/**
 * Checks that a JPEG, JPEG-LS or JPEG 2000 frame has the size that the DICOM header states, and that a JPEG has its end
 * marker. Throws an Error with the reason.
 */
export function requireFrameSize(frame: Uint8Array, { rows, columns }: { rows: number; columns: number }) {
  const isJpeg = frame[0] === 0xff && frame[1] === 0xd8;
  const size = isJpeg ? jpegSize(frame) : jpeg2000Size(frame);
  if (size === undefined)
    throw new Error(`field ${fieldName('PixelData')} does not hold an image of its transfer syntax`);
  if (size.rows !== rows || size.columns !== columns)
    throw new Error(
      `field ${fieldName('PixelData')} holds an image of ${size.rows} × ${size.columns}, the header says ${rows} × ${columns}`,
    );
  // Without the end marker decoders fill the missing part with zeros and report nothing.
  if (isJpeg && endMarkerOf(frame) < frame.length - MAX_BYTES_AFTER_END)
    throw new Error(`field ${fieldName('PixelData')} holds a JPEG without its end marker: it is cut short`);
}

/** Position of the last end marker (EOI) of a JPEG; −1 if there is none. */
export const endMarkerOf = (bytes: Uint8Array) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).lastIndexOf(Buffer.of(0xff, 0xd9));

/**
 * Bits per sample and size, from the frame header of a JPEG (SOF0 to SOF15) or JPEG-LS (SOF55); undefined if there is
 * no frame header.
 */
export function jpegSize(bytes: Uint8Array) {
  const view = viewOf(bytes);
  for (let at = 2; at + 9 <= bytes.length && bytes[at] === 0xff;) {
    const marker = bytes[at + 1]!;
    if (marker === 0xf7 || (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)))
      return { bits: bytes[at + 4]!, rows: view.getUint16(at + 5), columns: view.getUint16(at + 7) };
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return undefined;
}

/** From the SIZ marker that follows the start of the codestream; undefined unless it states one component. */
function jpeg2000Size(bytes: Uint8Array) {
  const at = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(
    Buffer.of(0xff, 0x4f, 0xff, 0x51),
  );
  if (at < 0 || at + 42 > bytes.length) return undefined;
  const view = viewOf(bytes);
  const size = (end: number) => view.getUint32(at + end) - view.getUint32(at + end + 8);
  return view.getUint16(at + 40) === 1 ? { rows: size(12), columns: size(8) } : undefined;
}

/**
 * Checks the header of an RLE frame: the number of segments and their offsets. The decoder follows the offsets without
 * comparing them with the length of the frame. Throws an Error with the reason.
 */
export function requireRleHeader(bytes: Uint8Array, segments: number) {
  const view = viewOf(bytes);
  const sound =
    bytes.length > 64 &&
    view.getUint32(0, true) === segments &&
    Array.from({ length: 15 }, (_, i) => view.getUint32(4 + 4 * i, true)).every((offset, i, offsets) =>
      i < segments ? offset >= (i === 0 ? 64 : offsets[i - 1]!) && offset < bytes.length : offset === 0,
    );
  if (!sound) throw new Error(`field ${fieldName('PixelData')} does not hold ${segments} RLE segments`);
}
