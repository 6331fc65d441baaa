// What the numbers of a scan are: Hounsfield units, the same with an offset, or grey values. The one rule of all formats.
import { UserError } from '@ct-ensemble/core';
import type { ScanFinding } from '../scan.ts';

/**
 * What `--values` says of the numbers in the files: `hu`, `hu+1024` and `hu+32768` (Hounsfield units plus an offset),
 * `grey` (the grey values of this project, black −1150 HU and white 350 HU), or `window:LOW,HIGH` (grey values, black LOW
 * HU and white HIGH HU).
 */
export type ValuesChoice = string;

/** How numbers are read. `hu`: the number minus `offset`; `grey`: number / white, from black = 0 to white. */
export type Reading =
  | { kind: 'hu'; offset: number }
  | { kind: 'grey'; white: number; window: readonly [low: number, high: number] | null };

export interface Decision {
  reading: Reading;
  findings: ScanFinding[];
  /** The number of the area outside the image, to be read as −1024 HU; null if there is none. */
  padding: number | null;
}

/** The choice in its normal form, `window:-1000,400`. Throws an Error if the text is no choice. */
export function parseValues(text: string): ValuesChoice {
  const choice = text.trim().toLowerCase();
  if (['hu', 'hu+1024', 'hu+32768', 'grey'].includes(choice)) return choice;
  const window = /^window:\s*([+-]?\d+(?:\.\d+)?)\s*,\s*([+-]?\d+(?:\.\d+)?)$/.exec(choice);
  const [low, high] = [Number(window?.[1]), Number(window?.[2])];
  if (!(window && low < high && low >= -32768 && high <= 32767))
    throw new Error('It must be hu, hu+1024, hu+32768, grey or window:LOW,HIGH, such as window:-1000,400.');
  return `window:${low},${high}`;
}

/** Range of the counted numbers; a number outside it counts at the nearest end. */
const [LEAST, MOST] = [-32768, 65535];

/** The numbers of a whole scan, counted. */
export class ValueCounts {
  /** Finite numbers. */
  total = 0;
  least = Infinity;
  most = -Infinity;
  hasFractions = false;
  /** [LEAST … MOST], how often each number occurs, rounded. */
  private readonly counts = new Float64Array(MOST - LEAST + 1);

  add(values: ArrayLike<number>, { slope = 1, intercept = 0 } = {}) {
    const { counts } = this;
    const { round } = Math; // in Jest a property of a global is slow to reach
    let { least, most, hasFractions } = this;
    let unknown = 0;
    for (let i = 0; i < values.length; i++) {
      const value = values[i]! * slope + intercept;
      if (value - value !== 0) {
        unknown++; // not finite
        continue;
      }
      if (value < least) least = value;
      if (value > most) most = value;
      const whole = round(value);
      if (whole !== value) hasFractions = true;
      counts[(whole < LEAST ? LEAST : whole > MOST ? MOST : whole) - LEAST]!++;
    }
    this.total += values.length - unknown;
    Object.assign(this, { least, most, hasFractions });
  }

  /** How many numbers are within from … to, both included. */
  within(from: number, to: number): number {
    let sum = 0;
    for (let value = Math.max(from, LEAST); value <= Math.min(to, MOST); value++)
      sum += this.counts[value - LEAST]!;
    return sum;
  }

  /** How many different numbers there are, rounded. */
  get distinct(): number {
    return this.counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
  }

  get lowest(): { value: number; count: number } {
    const index = this.counts.findIndex((count) => count > 0);
    return { value: index + LEAST, count: this.counts[index] ?? 0 };
  }
}

/** In a chest CT at least this share is air or lung, below `AIR_HU`. Real ones have 20 % and more. */
const LEAST_AIR = 0.01;
const AIR_HU = -200;

/**
 * Whether the numbers are surely Hounsfield units, from the beginning of the data alone: 1 % of them are below −200, these
 * are not all the same number, and one is above −1024. Then `decide` says so too, and the rest need not be counted.
 */
export function beginsAsHounsfield(values: ArrayLike<number>, { slope = 1, intercept = 0 } = {}): boolean {
  const needed = Math.max(2, values.length * LEAST_AIR);
  let [air, first, differ, isAbove] = [0, NaN, false, false];
  for (let i = 0; i < values.length; i++) {
    const value = Math.round(values[i]! * slope + intercept);
    if (value > -1024) isAbove = true;
    if (!(value < AIR_HU)) continue;
    air++;
    if (Number.isNaN(first)) first = value;
    else if (value !== first) differ = true;
    if (air >= needed && differ && isAbove) return true;
  }
  return false;
}

/** Part of the reason for refusing values that are a few labels. */
export const LABELS_ONLY = 'as in a mask of labels';

/** Fewer different numbers than this are labels rather than grey values. */
const LEAST_GREYS = 16;

/**
 * Decides what the numbers of a scan are; see docs/scans.md for the thresholds and their reasons. `fullScale`: the number
 * that is white by the file's format (65535 in a 16-bit PNG), if it states one.
 * @throws {UserError} without a file, if it is not sure and `choice` is not given, or the numbers contradict `choice`.
 */
export function decide(
  counts: ValueCounts,
  { choice, fullScale }: { choice?: ValuesChoice | undefined; fullScale?: number } = {},
): Decision {
  if (choice !== undefined) return chosen(counts, choice, fullScale);
  const hu = (offset: number, padding: number | null = null): Decision => ({
    reading: { kind: 'hu', offset },
    padding,
    findings:
      offset === 0
        ? []
        : [
            {
              kind: 'offset-values',
              message:
                `the values ${rangeOf(counts)} are read as Hounsfield units + ${offset}: air, lung and soft tissue are ` +
                `where that offset puts them; if they are something else, say so with --values`,
            },
          ],
  });
  if (counts.total === 0) return hu(0);
  for (const offset of [1024, 32768]) {
    const { value, count } = counts.lowest;
    // The area outside the image may hold one number below all others.
    const padded = value <= offset - 1500 || value < AIR_HU ? count : 0;
    if (hasOffset(counts, { offset, padded })) return hu(offset, padded > 0 ? value : null);
  }
  const { least, most, total } = counts;
  if (fullScale === undefined && counts.within(LEAST, AIR_HU - 1) >= total * LEAST_AIR && most > -1024)
    return hu(0);
  if (areWrapped(counts))
    throw new UserError(
      `its values ${rangeOf(counts)} are signed numbers of 16 bits that were written as unsigned ones: the negative ones ` +
        'became 65536 more',
      { remedy: 'write them again as signed numbers, or add 1024 to them before' },
    );
  if (fullScale !== undefined && most >= fullScale / 4) return grey(counts, fullScale, false);
  const isUnit = least >= -1e-3 && most <= 1 + 1e-3 && counts.hasFractions;
  if (isUnit) return grey(counts, 1);
  if (least >= -0.5 && most < 255.5 && most > 1.5 && counts.distinct >= LEAST_GREYS) return grey(counts, 255);
  throw new UserError(`it is not sure what its values ${rangeOf(counts)} are: ${doubtOf(counts)}`, {
    remedy:
      'say what they are with --values: hu, hu+1024, hu+32768, grey (black −1150 HU, white 350 HU) or window:LOW,HIGH ' +
      '(black LOW HU, white HIGH HU); a mask of labels is no scan',
  });
}

/** Whether the numbers are negative Hounsfield units above 63000 and others below 8000, with hardly any between them. */
function areWrapped(counts: ValueCounts): boolean {
  const { least, total } = counts;
  if (least < 0 || counts.within(62000, 65534) < total * LEAST_AIR) return false;
  return counts.within(8000, 61999) <= total * 1e-4 && counts.within(0, 7999) >= total * LEAST_AIR;
}

function doubtOf(counts: ValueCounts): string {
  const { least, most, distinct } = counts;
  if (distinct < LEAST_GREYS && !counts.hasFractions && least >= 0)
    return `there are ${distinct} different ones only, ${LABELS_ONLY}`;
  if (most <= -1024) return 'none is above −1024, so that they are not Hounsfield units';
  return (
    `${least < AIR_HU ? 'less than 1 % are' : 'none is'} below ${AIR_HU}, as air and lung are in Hounsfield units, and they ` +
    'are not grey values 0 … 1 or 0 … 255, nor Hounsfield units with a usual offset'
  );
}

/**
 * Whether the numbers have the histogram of a chest CT in Hounsfield units, shifted by `offset`: hardly any below −1500 HU
 * or above 1000 HU; soft tissue and fat (−150 … 150 HU) 5 % or more; with the offset 1024, which the range of the numbers
 * does not show, also lung (−950 … −550 HU) a tenth of the tissue or more.
 */
function hasOffset(counts: ValueCounts, { offset, padded }: { offset: number; padded: number }): boolean {
  const total = counts.total - padded;
  const tissue = counts.within(offset - 150, offset + 150);
  const lung = counts.within(offset - 950, offset - 550);
  const below = counts.within(LEAST, offset === 1024 ? AIR_HU - 1 : offset - 1501) - padded;
  const above = counts.within(offset + 1001, MOST);
  return (
    below <= total * 0.001 &&
    above <= total * 0.02 &&
    tissue >= total * 0.05 &&
    tissue > 0 &&
    (offset !== 1024 || lung >= tissue * 0.1)
  );
}

function grey(counts: ValueCounts, white: number, isUnusual = true): Decision {
  const message =
    `the values ${rangeOf(counts)} are no Hounsfield units: read as grey values, 0 as black and ${white} as white, of the ` +
    'window −1150 … 350 HU; name another with --values window:LOW,HIGH';
  return {
    reading: { kind: 'grey', white, window: null },
    padding: null,
    findings: isUnusual ? [{ kind: 'grey-volume', message }] : [],
  };
}

function chosen(counts: ValueCounts, choice: ValuesChoice, fullScale: number | undefined): Decision {
  if (choice.startsWith('hu'))
    return { reading: { kind: 'hu', offset: Number(choice.slice(3)) }, padding: null, findings: [] };
  const window = choice === 'grey' ? null : (choice.slice(7).split(',').map(Number) as [number, number]);
  const { least, most } = counts;
  const white =
    fullScale ??
    (most <= 1 + 1e-3 ? 1 : most < 255.5 ? 255 : most > 32767 && most < 65535.5 ? 65535 : undefined);
  if (counts.total > 0 && (white === undefined || least < -0.5))
    throw new UserError(
      `--values ${choice}: its values ${rangeOf(counts)} are not grey values within 0 … 1, 0 … 255 or 0 … 65535`,
      { remedy: 'leave --values out, or name what the values are' },
    );
  return { reading: { kind: 'grey', white: white ?? 255, window }, padding: null, findings: [] };
}

const rangeOf = ({ least, most }: ValueCounts) => `${short(least)} … ${short(most)}`;
const short = (value: number) => String(Number(value.toPrecision(6))).replace('-', '−');

/** Hounsfield units of a grey value by the window; the number is not rounded. */
export function windowed(value: number, { white, window }: Extract<Reading, { kind: 'grey' }>): number {
  const [low, high] = window!;
  return low + (Math.max(0, Math.min(white, value)) / white) * (high - low);
}
