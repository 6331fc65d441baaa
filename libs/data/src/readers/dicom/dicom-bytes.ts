// DICOM files at the level of bytes: how to recognise one, and the header of one element.

/** Whether the bytes are a DICOM file: DICM at byte 128, or the start of a data set without that preamble. */
export function isDicom(bytes: Uint8Array): boolean {
  if (hasPreamble(bytes)) return true;
  if (bytes.length < 8) return false;
  const view = viewOf(bytes);
  if (view.getUint16(0, false) === 0x0008 && view.getUint16(2, false) <= 0x0070) return isVR(bytes, 4);
  const group = view.getUint16(0, true);
  if (group !== 0x0002 && group !== 0x0008) return false;
  if (view.getUint16(2, true) > 0x0070) return false;
  if (isVR(bytes, 4)) return true;
  const length = view.getUint32(4, true);
  return length % 2 === 0 && length <= Math.min(1024, bytes.length - 8);
}

/** Whether DICM stands at byte 128. */
export const hasPreamble = (bytes: Uint8Array) => bytes.length >= 132 && latin1(bytes, 128, 132) === 'DICM';
export const latin1 = (bytes: Uint8Array, from: number, to: number) =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1', from, to);
export const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
const VRS = new Set(
  'AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV'.split(
    ' ',
  ),
);
/** Whether a value representation (PS3.5, 6.2) stands at this position. */
export const isVR = (bytes: Uint8Array, at: number) => VRS.has(latin1(bytes, at, at + 2));

/** Value representations whose length field has four bytes, preceded by two unused bytes (PS3.5, 7.1.2). */
const LONG_VRS = new Set('OB OD OF OL OV OW SQ SV UC UN UR UT UV'.split(' '));

/** How the elements of a data set are encoded. */
export interface Encoding {
  /** Without value representations. */
  implicit: boolean;
  little: boolean;
}

export interface ElementHeader {
  tag: number;
  /** Value representation; null if the element has none. */
  vr: string | null;
  /** Position of the value. */
  value: number;
  /** Length of the value in bytes. */
  length: number;
}

/**
 * The header of the element at this position; undefined if the bytes end within it. An element without letters in the
 * place of its value representation is implicit even in an explicit data set: some writers mix the two, and pydicom
 * reads them so.
 */
export function elementHeader(
  bytes: Uint8Array,
  at: number,
  { implicit, little }: Encoding,
): ElementHeader | undefined {
  if (at + 8 > bytes.length) return undefined;
  const view = viewOf(bytes);
  const group = view.getUint16(at, little);
  const tag = group * 0x10000 + view.getUint16(at + 2, little);
  const letters = latin1(bytes, at + 4, at + 6);
  // Two blanks in place of the value representation and two zero bytes: some writers' unknown representation (GDCM).
  if (!implicit && latin1(bytes, at + 4, at + 8) === '  \0\0' && at + 12 <= bytes.length)
    return { tag, vr: 'UN', value: at + 12, length: view.getUint32(at + 8, little) };
  const vr = implicit || group === 0xfffe || !/^[A-Z]{2}$/.test(letters) ? null : letters;
  const long = vr !== null && LONG_VRS.has(vr);
  const value = at + (long ? 12 : 8);
  if (value > bytes.length) return undefined;
  const length = vr === null || long ? view.getUint32(value - 4, little) : view.getUint16(at + 6, little);
  return { tag, vr, value, length };
}

/** A text without the blanks and zero bytes that pad it to an even length. */
export const trimmed = (text: string) => text.replace(/[\s\0]+$/, '').trimStart();
