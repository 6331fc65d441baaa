// The order of a DICOM series, from head to feet, and what its positions reveal: duplicates, gaps, tilt.
import { basename } from 'node:path';
import { counted, listed } from '../../findings.ts';
import type { ScanFinding } from '../../scan.ts';
import { dot, normalOf, type DicomImage, type Vector } from './dicom-image.ts';

/** Slices closer than this, in mm, are at the same position. */
export const SAME_POSITION = 0.01;

/** A gap wider than this multiple of the median distance means that slices are missing. */
const MISSING_FROM = 1.5;

/** A gap narrower than this multiple of the median distance is reported. */
const UNEVEN_BELOW = 0.75;

export interface OrderedSeries<Image> {
  /** From head to feet, one image per position; of several the one with the lowest InstanceNumber. */
  ordered: Image[];
  /** Median distance of neighbouring slices in mm; null with a single slice or without positions. */
  distance: number | null;
  findings: ScanFinding[];
}

/** The direction from feet to head in which positions are measured: the normal of the slices. */
export function heightAxis(images: readonly DicomImage[]): Vector {
  const orientation = images.find(({ geometry }) => geometry.orientation)?.geometry.orientation;
  const normal: Vector = orientation ? normalOf(orientation) : [0, 0, 1];
  return normal[2] < 0 ? [-normal[0], -normal[1], -normal[2]] : normal;
}

/**
 * Orders images by their position along the slices' normal; the few that have no position are left out. Where most have
 * none, or all have the same, other fields give the order. All of this is reported.
 */
export function orderSlices<Image extends DicomImage>(images: readonly Image[]): OrderedSeries<Image> {
  const findings: ScanFinding[] = [];
  const numbered = images.toSorted(
    (a, b) =>
      (a.instance ?? Infinity) - (b.instance ?? Infinity) ||
      (a.time < b.time ? -1 : a.time > b.time ? 1 : 0) || // of one acquisition rather than a mixture
      a.path.localeCompare(b.path, 'en', { numeric: true }) ||
      a.frame - b.frame,
  );
  if (!numbered.some(({ geometry }) => geometry.orientation))
    findings.push({
      kind: 'no-orientation',
      message:
        'no ImageOrientationPatient (0020,0037): rows are assumed to run from right to left, columns to the back',
    });
  const up = heightAxis(numbered);
  findings.push(...tiltFinding(up, numbered));
  const placed = numbered.filter(({ geometry }) => geometry.position !== null);
  if (placed.length < numbered.length / 2 || placed.length === 0)
    return orderWithoutPositions(numbered, { up, findings });
  if (placed.length < numbered.length) {
    const others = numbered.filter(({ geometry }) => geometry.position === null);
    const message = `${counted(others.length, 'slice')} without ImagePositionPatient (0020,0032) left out: ${namesOf(others)}`;
    findings.push({ kind: 'no-position', message });
  }
  const heights = placed.map(({ geometry }) => dot(geometry.position!, up));
  const substitute = shareOfOneHeight(heights) > MOST_AT_ONE_HEIGHT ? orderWithoutHeights(placed) : null;
  if (substitute !== null) return { ...substitute, findings: [...findings, ...substitute.findings] };
  return orderByHeight(placed, { heightOf: (image) => dot(image.geometry.position!, up), findings });
}

/** If more than this share of the slices state one position, their positions are not used. */
const MOST_AT_ONE_HEIGHT = 0.6;

/** The largest share of heights that lie at one position. */
function shareOfOneHeight(heights: readonly number[]): number {
  if (heights.length < 3) return Math.max(...heights) - Math.min(...heights) < SAME_POSITION ? 1 : 0;
  const sorted = heights.toSorted((a, b) => a - b);
  let first = 0;
  let most = 0;
  for (const [i, height] of sorted.entries()) {
    while (height - sorted[first]! >= SAME_POSITION) first++;
    most = Math.max(most, i - first + 1);
  }
  return most / heights.length;
}

/**
 * The order of slices of which most state no position: by SliceLocation, if each has one of its own, or by
 * InstanceNumber. The slices that have a position, or a SliceLocation, say whether InstanceNumber runs to the feet.
 */
function orderWithoutPositions<Image extends DicomImage>(
  numbered: readonly Image[],
  { up, findings }: { up: Vector; findings: readonly ScanFinding[] },
): OrderedSeries<Image> {
  const report = (by: string): ScanFinding => ({
    kind: 'no-positions',
    message: `most slices have no ImagePositionPatient (0020,0032): ordered by ${by}`,
  });
  if (haveDistinct(numbered, ({ geometry }) => geometry.location))
    return orderByHeight(numbered, {
      heightOf: ({ geometry }) => geometry.location!,
      findings: [...findings, report(LOCATION)],
    });
  const heightOf = ({ geometry: { position, location } }: Image) =>
    position === null ? location : dot(position, up);
  const heights = numbered.map(heightOf).filter((height) => height !== null);
  const steps = heights.slice(1).map((height, i) => height - heights[i]!);
  const falls = steps.length > 0 && steps.every((step) => step < 0);
  const rises = steps.length > 0 && steps.every((step) => step > 0);
  const direction = falls
    ? 'which runs from head to feet'
    : rises
      ? 'which runs from feet to head'
      : 'which may run from head to feet or back';
  return {
    ordered: rises ? numbered.toReversed() : [...numbered],
    distance: null,
    findings: [
      ...findings,
      report(
        `InstanceNumber, ${direction}${falls || rises ? ` by the ${heights.length} slices that have a position` : ''}`,
      ),
    ],
  };
}

const LOCATION = 'SliceLocation (0020,1041), which is taken to rise from feet to head';

function haveDistinct<Image>(images: readonly Image[], valueOf: (image: Image) => number | null): boolean {
  const values = new Set(images.map(valueOf));
  return values.size === images.length && !values.has(null);
}

/** From head to feet; of several images at one height only the first stays. */
function orderByHeight<Image extends DicomImage>(
  images: readonly Image[],
  { heightOf, findings }: { heightOf: (image: Image) => number; findings: readonly ScanFinding[] },
): OrderedSeries<Image> {
  const sorted = images.toSorted((a, b) => heightOf(b) - heightOf(a));
  const ordered: Image[] = [];
  const gaps: number[] = [];
  const duplicates: Image[] = [];
  for (const image of sorted) {
    const last = ordered.at(-1);
    const gap = last === undefined ? Infinity : heightOf(last) - heightOf(image);
    if (gap < SAME_POSITION) duplicates.push(image);
    else {
      if (last !== undefined) gaps.push(gap);
      ordered.push(image);
    }
  }
  const reported = [...findings];
  if (duplicates.length > 0) {
    const message = `${counted(duplicates.length, 'slice')} left out because another is at the same position: ${namesOf(duplicates)}`;
    reported.push({ kind: 'duplicate-positions', message });
  }
  const files = new Map(ordered.map((image) => [image.path, image.instance]));
  const numbers = [...files.values()].filter((number) => number !== null);
  const different = new Set(numbers).size; // one number for all says nothing
  if (different > 1 && different < numbers.length) {
    const message =
      `several of ${ordered.length} slices at different positions have the same InstanceNumber (0020,0013): they may be ` +
      'of several scans';
    reported.push({ kind: 'repeated-numbers', message });
  }
  const distance = medianOf(gaps);
  if (distance !== null) reported.push(...missingFinding(gaps, distance), ...unevenFinding(gaps, distance));
  return { ordered, distance, findings: reported };
}

/**
 * The order of slices that all state the same position: by SliceLocation, or InstanceNumber, or as the frames of one
 * file, whichever has a value of its own for each slice. Null for slices that do lie at one position.
 */
function orderWithoutHeights<Image extends DicomImage>(
  images: readonly Image[],
): OrderedSeries<Image> | null {
  if (images.length < 2) return null;
  const finding = (by: string): ScanFinding => ({
    kind: 'one-position',
    message: `ImagePositionPatient (0020,0032) is the same in all or most of ${images.length} slices: ordered by ${by}`,
  });
  if (haveDistinct(images, ({ geometry }) => geometry.location))
    return orderByHeight(images, {
      heightOf: ({ geometry }) => geometry.location!,
      findings: [finding(LOCATION)],
    });
  const isOneFile = new Set(images.map(({ path }) => path)).size === 1;
  const located = new Set(images.map(({ geometry }) => geometry.location));
  // Zeros are what anonymisers write; any other location that all share is the one place that was scanned again and again.
  const isErased = images.every(
    ({ geometry: { position, location } }) => location === 0 && position!.every((value) => value === 0),
  );
  if (!isOneFile && !isErased && !located.has(null) && located.size === 1) return null;
  if (!isOneFile && !haveDistinct(images, ({ instance }) => instance)) return null;
  const by = isOneFile ? 'their frames’ numbers' : 'InstanceNumber (0020,0013)';
  return {
    ordered: [...images],
    distance: null,
    findings: [finding(`${by}, which may run from head to feet or back`)],
  };
}

const namesOf = (images: readonly DicomImage[]) =>
  listed([...new Set(images.map(({ path }) => basename(path)))]);

function tiltFinding(up: Vector, images: readonly DicomImage[]): ScanFinding[] {
  const degrees = (Math.acos(Math.min(1, up[2])) * 180) / Math.PI;
  const gantry = images.find(({ geometry }) => geometry.tilt !== 0)?.geometry.tilt ?? 0;
  if (degrees <= 1 && gantry === 0) return [];
  const parts = [
    ...(degrees > 1 ? [`the slices are tilted by ${degrees.toFixed(1)}° from the transverse plane`] : []),
    ...(gantry === 0 ? [] : [`GantryDetectorTilt (0018,1120) is ${gantry}°`]),
  ];
  return [{ kind: 'gantry-tilt', message: `${parts.join(' and ')}; the tilt is not corrected` }];
}

function missingFinding(gaps: readonly number[], distance: number): ScanFinding[] {
  const wide = gaps.filter((gap) => gap > MISSING_FROM * distance);
  if (wide.length === 0) return [];
  const missing = wide.reduce((sum, gap) => sum + Math.max(1, Math.round(gap / distance) - 1), 0);
  const message =
    `about ${counted(missing, 'slice')} missing: ${counted(wide.length, 'gap')} of up to ` +
    `${Number(Math.max(...wide).toFixed(3))} mm where slices are ${Number(distance.toFixed(3))} mm apart`;
  return [{ kind: 'missing-slices', message }];
}

function unevenFinding(gaps: readonly number[], distance: number): ScanFinding[] {
  const narrow = gaps.filter((gap) => gap < UNEVEN_BELOW * distance);
  if (narrow.length === 0) return [];
  const message =
    `${counted(narrow.length, 'gap')} of down to ${Number(Math.min(...narrow).toFixed(3))} mm where slices are ` +
    `${Number(distance.toFixed(3))} mm apart: they may be of several scans`;
  return [{ kind: 'uneven-positions', message }];
}

function medianOf(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return null;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
