// The order of a DICOM series, from head to feet, and what its positions reveal: duplicates, gaps, tilt.
import { basename } from 'node:path';
import { counted, listed } from '../../findings.ts';
import type { ScanFinding } from '../../scan.ts';
import { dot, normalOf, type DicomImage, type Vector } from './dicom-image.ts';

/** Slices closer than this, in mm, are at the same position. */
const SAME_POSITION = 0.01;

/** A gap wider than this multiple of the median distance means that slices are missing. */
const MISSING_FROM = 1.5;

export interface OrderedSeries<Image> {
  /** From head to feet, one image per position; of several the one with the lowest InstanceNumber. */
  ordered: Image[];
  /** Median distance of neighbouring slices in mm; null with a single slice or without positions. */
  distance: number | null;
  findings: ScanFinding[];
}

/**
 * Orders images by their position along the slices' normal. If an image has no position, all are ordered by
 * InstanceNumber instead, then by file name, with a finding.
 */
export function orderSlices<Image extends DicomImage>(images: readonly Image[]): OrderedSeries<Image> {
  const findings: ScanFinding[] = [];
  const numbered = images.toSorted(
    (a, b) =>
      (a.instance ?? Infinity) - (b.instance ?? Infinity) ||
      a.path.localeCompare(b.path, 'en', { numeric: true }),
  );
  const orientation = numbered.find(({ geometry }) => geometry.orientation)?.geometry.orientation;
  if (!orientation)
    findings.push({
      kind: 'no-orientation',
      message:
        'no ImageOrientationPatient (0020,0037): rows are assumed to run from right to left, columns to the back',
    });
  const normal: Vector = orientation ? normalOf(orientation) : [0, 0, 1];
  const up: Vector = normal[2] < 0 ? [-normal[0], -normal[1], -normal[2]] : normal;
  findings.push(...tiltFinding(up, numbered));
  if (numbered.some(({ geometry }) => geometry.position === null)) {
    const message =
      'some slices have no ImagePositionPatient (0020,0032): ordered by InstanceNumber, which may run from head to feet or back';
    return { ordered: numbered, distance: null, findings: [...findings, { kind: 'no-positions', message }] };
  }
  const heightOf = (image: Image) => dot(image.geometry.position!, up);
  const sorted = numbered.toSorted((a, b) => heightOf(b) - heightOf(a));
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
  if (duplicates.length > 0) {
    const names = [...new Set(duplicates.map(({ path }) => basename(path)))];
    const message = `${counted(duplicates.length, 'slice')} left out because another is at the same position: ${listed(names)}`;
    findings.push({ kind: 'duplicate-positions', message });
  }
  const distance = medianOf(gaps);
  if (distance !== null) findings.push(...missingFinding(gaps, distance));
  return { ordered, distance, findings };
}

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

function medianOf(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return null;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
