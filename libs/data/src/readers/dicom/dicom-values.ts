// DICOM series with the values that `--values` names. Offsets are subtracted before numbers are clamped to 16 bits, and
// padding never counts as a value.
import { UserError } from '@ct-ensemble/core';
import type { Scan } from '../../scan.ts';
import type { ValuesChoice } from '../values.ts';
import { readDicomSeries, type DicomFile } from './dicom.ts';
import { PADDING_HU, type SampleTarget } from './hounsfield.ts';

/** Grey values; padding is black. */
const GREY: SampleTarget = { offset: 0, padding: 0 };

/** Grey values above 32767, moved into 16 bits with sign. */
const WIDE_GREY: SampleTarget = { offset: 32768, padding: -32768 };

export interface ChosenSeries {
  /** As `readDicomSeries` returns them, the longest first. */
  series: Scan[];
  /** What was subtracted from grey values; 0 for Hounsfield units. */
  offset: number;
}

/**
 * Reads DICOM files as `readDicomSeries` does. With the choice `hu`, `hu+1024` or `hu+32768` the slices hold Hounsfield
 * units; with `grey` or a window they hold grey values minus `offset`; without a choice they hold what the files state.
 * @throws {UserError} as `readDicomSeries`; also for grey values 0 … 1, which rounding has made useless.
 */
export async function readChosenSeries(
  files: readonly DicomFile[],
  values: ValuesChoice | undefined,
): Promise<ChosenSeries> {
  const read = async (target?: SampleTarget) => {
    const series = await readDicomSeries(files, target);
    return series.sort((a, b) => b.slices.length - a.slices.length);
  };
  if (values === undefined) return { series: await read(), offset: 0 };
  if (values.startsWith('hu'))
    return { series: await read({ offset: Number(values.slice(3)), padding: PADDING_HU }), offset: 0 };
  const series = await read(GREY);
  const { least, most } = rangeOf(series[0]!);
  if (least >= 0 && most === 1)
    throw new UserError(
      `--values ${values}: the rescaled values are within 0 … 1, and are rounded to whole numbers in DICOM files`,
      { file: files[0]!.path, remedy: 'write a RescaleSlope that gives grey values 0 … 255 or 0 … 65535' },
    );
  if (least < 0 || most < 32767) return { series, offset: 0 };
  return { series: await read(WIDE_GREY), offset: WIDE_GREY.offset };
}

function rangeOf({ slices }: Scan): { least: number; most: number } {
  let [least, most] = [Infinity, -Infinity];
  for (const { data } of slices)
    for (let i = 0; i < data.length; i++) {
      const value = data[i]!;
      if (value < least) least = value;
      if (value > most) most = value;
    }
  return { least, most };
}
