// From the stored values of a DICOM image to Hounsfield units: bits, sign, padding, slope and intercept.
import { fieldName, type Elements } from './dicom-elements.ts';
import type { SampleFormat } from './dicom-pixels.ts';

/** Hounsfield units that padding becomes. */
export const PADDING_HU = -1024;

export interface Rescale {
  slope: number;
  intercept: number;
  /** The range of stored values, both ends included, that mark padding; null if the file has no padding. */
  padding: { from: number; to: number } | null;
}

/** The rescaling that a file or frame states; slope 1 and intercept 0 if it states none. Throws an Error for slope 0. */
export function rescaleOf(elements: Elements, { bitsAllocated, signed }: SampleFormat): Rescale {
  const slope = elements.number('RescaleSlope') ?? 1;
  if (slope === 0) throw new Error(`field ${fieldName('RescaleSlope')} is 0`);
  // PixelPaddingValue may be US or SS; dcmjs reads it as unsigned if the file does not say which.
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

/**
 * Hounsfield units of every sample: stored · slope + intercept, rounded, clamped to int16. `padded` counts the samples
 * that were padding and are now `PADDING_HU`.
 */
export function toHounsfield(
  samples: Uint8Array | Uint16Array,
  format: SampleFormat,
  rescale: Rescale,
): { data: Int16Array; padded: number } {
  const { table, isPadding } = lookupTableOf(format, rescale);
  const data = new Int16Array(samples.length);
  let padded = 0;
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i]!;
    data[i] = table[sample]!;
    padded += isPadding[sample]!;
  }
  return { data, padded };
}

interface LookupTable {
  /** [65536], Hounsfield units by the bits of a sample. */
  table: Int16Array;
  /** [65536], 1 if a sample of these bits is padding. */
  isPadding: Uint8Array;
}

/** The slices of a series have the same format and rescaling nearly always: the last table is kept. */
let last: { key: string; tables: LookupTable } | undefined;

function lookupTableOf(format: SampleFormat, rescale: Rescale): LookupTable {
  const { bitsStored, highBit, signed } = format;
  const key = JSON.stringify([bitsStored, highBit, signed, rescale]);
  if (last?.key !== key) last = { key, tables: makeLookupTable(format, rescale) };
  return last.tables;
}

function makeLookupTable({ bitsStored, highBit, signed }: SampleFormat, rescale: Rescale): LookupTable {
  const { slope, intercept, padding } = rescale;
  const table = new Int16Array(1 << 16);
  const isPadding = new Uint8Array(1 << 16);
  const unused = 32 - bitsStored;
  for (let bits = 0; bits < table.length; bits++) {
    const shifted = (bits >> (highBit + 1 - bitsStored)) << unused;
    const stored = signed ? shifted >> unused : shifted >>> unused;
    // Some writers store padding in the bits above BitsStored.
    const padded =
      padding !== null && (within(padding, stored) || within(padding, signed ? (bits << 16) >> 16 : bits));
    const hounsfield = padded ? PADDING_HU : Math.round(stored * slope + intercept);
    table[bits] = Math.max(-32768, Math.min(32767, hounsfield));
    isPadding[bits] = padded ? 1 : 0;
  }
  return { table, isPadding };
}

const within = ({ from, to }: { from: number; to: number }, value: number) => value >= from && value <= to;
