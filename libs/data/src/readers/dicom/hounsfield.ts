// From the stored values of a DICOM image to Hounsfield units, or to what `--values` says: bits, sign, padding, slope and
// intercept.
import { fieldName, type Elements } from './dicom-elements.ts';
import type { DecodedFrame, SampleFormat } from './dicom-pixels.ts';

/** Hounsfield units that padding becomes. */
export const PADDING_HU = -1024;

/** What samples become: stored · slope + intercept − offset, and padding becomes `padding`. */
export interface SampleTarget {
  offset: number;
  padding: number;
}

/** Hounsfield units. */
export const HOUNSFIELD: SampleTarget = { offset: 0, padding: PADDING_HU };

export interface Rescale {
  slope: number;
  /** The file's RescaleIntercept minus the offset of the target. */
  intercept: number;
  /** The range of stored values, both ends included, that mark padding; null if the file has no padding. */
  padding: { from: number; to: number } | null;
  /** What padding becomes. */
  paddingValue: number;
}

/** The rescaling that a file or frame states; slope 1 and intercept 0 if it states none. Throws an Error for slope 0. */
export function rescaleOf(
  elements: Elements,
  { bitsAllocated, signed }: SampleFormat,
  target: SampleTarget = HOUNSFIELD,
): Rescale {
  const slope = elements.number('RescaleSlope') ?? 1;
  if (slope === 0) throw new Error(`field ${fieldName('RescaleSlope')} is 0`);
  // PixelPaddingValue may be US or SS; it is read as unsigned if the file does not say which.
  const stored = (value: number) =>
    signed ? (value << (32 - bitsAllocated)) >> (32 - bitsAllocated) : value;
  const first = elements.numbers('PixelPaddingValue', 1)?.[0];
  const last = elements.numbers('PixelPaddingRangeLimit', 1)?.[0] ?? first;
  const ends = first === undefined ? null : [stored(first), stored(last!)];
  return {
    slope,
    intercept: (elements.number('RescaleIntercept') ?? 0) - target.offset,
    padding: ends && { from: Math.min(...ends), to: Math.max(...ends) },
    paddingValue: target.padding,
  };
}

/**
 * The number of every sample: stored · slope + intercept, rounded, clamped to int16. `padded` counts the samples
 * that were padding and are now `paddingValue`; `clamped` those that a lossy compression had moved out of the range of
 * BitsStored, and that are taken for the nearest end of that range.
 */
export function toHounsfield(
  { samples, lossy }: Pick<DecodedFrame, 'samples' | 'lossy'>,
  format: SampleFormat,
  rescale: Rescale,
): { data: Int16Array; padded: number; clamped: number } {
  const { table, kinds } = lookupTableOf(format, rescale, lossy);
  const data = new Int16Array(samples.length);
  for (let i = 0; i < samples.length; i++) data[i] = table[samples[i]!]!;
  let [padded, clamped] = [0, 0];
  if (kinds !== null)
    for (let i = 0; i < samples.length; i++) {
      const kind = kinds[samples[i]!]!;
      if (kind === PADDING) padded++;
      else if (kind === CLAMPED) clamped++;
    }
  return { data, padded, clamped };
}

const PADDING = 1;
const CLAMPED = 2;

interface LookupTable {
  /** [65536], the number by the bits of a sample. */
  table: Int16Array;
  /** [65536], `PADDING` or `CLAMPED` if a sample of these bits is that, else 0; null if all are 0. */
  kinds: Uint8Array | null;
}

/** The slices of a series have the same format and rescaling nearly always: the last table is kept. */
let last: { key: string; tables: LookupTable } | undefined;

function lookupTableOf(format: SampleFormat, rescale: Rescale, lossy: DecodedFrame['lossy']): LookupTable {
  const { bitsStored, highBit, signed } = format;
  const key = JSON.stringify([bitsStored, highBit, signed, rescale, lossy]);
  if (last?.key !== key) last = { key, tables: makeLookupTable(format, rescale, lossy) };
  return last.tables;
}

function makeLookupTable(
  format: SampleFormat,
  { slope, intercept, padding, paddingValue }: Rescale,
  lossy: DecodedFrame['lossy'],
): LookupTable {
  const { bitsStored, highBit, signed } = format;
  const table = new Int16Array(1 << 16);
  const kinds = new Uint8Array(1 << 16);
  const unused = 32 - bitsStored;
  for (let bits = 0; bits < table.length; bits++) {
    const shifted = (bits >> (highBit + 1 - bitsStored)) << unused;
    const masked = signed ? shifted >> unused : shifted >>> unused;
    const stored = clampedSample(bits, format, lossy) ?? masked;
    // Some writers store padding in the bits above BitsStored.
    const padded =
      padding !== null && (within(padding, masked) || within(padding, signed ? (bits << 16) >> 16 : bits));
    const value = padded ? paddingValue : Math.round(stored * slope + intercept);
    table[bits] = Math.max(-32768, Math.min(32767, value));
    kinds[bits] = padded ? PADDING : stored === masked ? 0 : CLAMPED;
  }
  return { table, kinds: kinds.some((kind) => kind !== 0) ? kinds : null };
}

/**
 * The end of the stored range next to a sample of a lossy codec whose own range is wider, where the sample lies outside:
 * such a codec overshoots at sharp edges, and without the bits above BitsStored metal would become air. Undefined for
 * samples that need no clamping.
 */
function clampedSample(bits: number, format: SampleFormat, lossy: DecodedFrame['lossy']): number | undefined {
  const { bitsStored, highBit, signed } = format;
  if (lossy === null || lossy.bits <= bitsStored || highBit !== bitsStored - 1) return undefined;
  // Signed samples may have been coded as the unsigned numbers of their BitsStored bits.
  if (signed && !lossy.signed && bits < 2 ** bitsStored) return undefined;
  const value = signed || lossy.signed ? (bits << 16) >> 16 : bits;
  const [low, high] = signed
    ? [-(2 ** (bitsStored - 1)), 2 ** (bitsStored - 1) - 1]
    : [0, 2 ** bitsStored - 1];
  return value < low ? low : value > high ? high : undefined;
}

const within = ({ from, to }: { from: number; to: number }, value: number) => value >= from && value <= to;
