// A DICOM CT series: from the files of a folder to scans in Hounsfield units, head first.
import { messageOf, UserError } from '@ct-ensemble/core';
import { basename, dirname } from 'node:path';
import { counted, listed } from '../../findings.ts';
import { dot, MOST_SLICES, normalOf, readDicomFile, type DicomImage, type Vector } from './dicom-image.ts';
import { AIR } from './dicom-pixels.ts';
import type { Scan, ScanFinding, Slice } from '../../scan.ts';

export { isDicom } from './dicom-bytes.ts';

export interface DicomFile {
  path: string;
  bytes: Uint8Array;
}

/** An image that is a slice. */
type AxialImage = DicomImage & { slice: NonNullable<DicomImage['slice']> };

/**
 * One scan for each SeriesInstanceUID, in the order of their first files. Without that UID, images of one folder, frame of
 * reference and size belong together. What cannot be read or is no axial CT slice is left out with a finding.
 * @throws {UserError} where no slice is left, naming the file and the field.
 */
export async function readDicomSeries(files: readonly DicomFile[]): Promise<Scan[]> {
  if (files.length === 0) throw new UserError('no DICOM file', { remedy: 'name the files of a CT series' });
  const series = new Map<string, AxialImage[]>();
  const leftOut: DicomImage[] = [];
  const unreadable: { path: string; problem: string; cause: unknown }[] = [];
  for (const { path, bytes } of files) {
    let images: DicomImage[];
    try {
      images = await readDicomFile(path, bytes);
    } catch (cause) {
      unreadable.push({ path, problem: messageOf(cause), cause });
      continue;
    }
    for (const image of images) {
      if (isAxial(image)) {
        const key = seriesKey(image);
        const members = series.get(key) ?? [];
        if (members.length === MOST_SLICES)
          throw new UserError(`its series has more than ${MOST_SLICES} slices`, {
            file: path,
            remedy: 'keep the slices of one scan together, and others apart',
          });
        members.push(image);
        series.set(key, members);
      } else leftOut.push(image);
    }
  }
  if (series.size === 0) throw nothingLeft({ files, unreadable, leftOut });

  const common: ScanFinding[] = [];
  if (leftOut.length > 0) common.push(leftOutFinding(leftOut));
  for (const { path, problem } of unreadable)
    common.push({ kind: 'unreadable-file', message: `left out: ${basename(path)} ${problem}` });
  return [...series.values()].map((images) => toScan(images, common));
}

const isAxial = (image: DicomImage): image is AxialImage => image.slice !== null;

const seriesKey = ({ series, path, frameOfReference, rows, columns }: DicomImage) =>
  JSON.stringify(series === null ? [dirname(path), frameOfReference, rows, columns] : [series]);

function leftOutFinding(images: readonly DicomImage[]): ScanFinding {
  const names = images.map(({ path, otherThanAxial }) => `${basename(path)} (${otherThanAxial})`);
  return {
    kind: 'not-axial',
    message: `left out, for they are no axial CT slices: ${listed([...new Set(names)])}`,
  };
}

function nothingLeft(options: {
  files: readonly DicomFile[];
  unreadable: readonly { path: string; problem: string; cause: unknown }[];
  leftOut: readonly DicomImage[];
}): UserError {
  const { files, unreadable, leftOut } = options;
  const [first] = unreadable;
  if (first === undefined || leftOut.length > 0)
    return new UserError(
      `no axial CT slice in ${counted(files.length, 'file')}; this one is ${leftOut[0]!.otherThanAxial}`,
      { file: leftOut[0]!.path, remedy: 'give the axial series of the scan' },
    );
  const problem =
    files.length === 1
      ? first.problem
      : `${first.problem}; nor can any other of ${counted(files.length, 'file')} be read`;
  return new UserError(problem, {
    file: first.path,
    remedy: 'export the series again, uncompressed where its compression is not supported',
    cause: first.cause,
  });
}

function toScan(images: readonly AxialImage[], common: readonly ScanFinding[]): Scan {
  const { ordered, distance, findings } = inOrder(images);
  const slices = ordered.map(turned);
  const { patient, series, geometry } = ordered[0]!;
  const pixel = geometry.spacing;
  const between = ordered.length === 1 ? geometry.thickness : distance;
  const swapped = isTransposed(ordered[0]!);
  return {
    slices,
    values: 'HU',
    spacing:
      pixel === null || between === null
        ? null
        : {
            slices: between,
            rows: swapped ? pixel.columns : pixel.rows,
            columns: swapped ? pixel.rows : pixel.columns,
          },
    patient,
    series,
    findings: [...findings, ...oddImages(ordered), ...common],
  };
}

/** From head to feet by position, one image for each position, and the median distance. */
function inOrder(images: readonly AxialImage[]) {
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
        'no ImageOrientationPatient (0020,0037): rows taken to run from right to left, columns to the back',
    });
  const normal: Vector = orientation ? normalOf(orientation) : [0, 0, 1];
  const up: Vector = normal[2] < 0 ? [-normal[0], -normal[1], -normal[2]] : normal;
  findings.push(...tiltFinding(up, numbered));
  if (numbered.some(({ geometry }) => geometry.position === null)) {
    const message =
      'no ImagePositionPatient (0020,0032) in some: ordered by InstanceNumber, head or feet first';
    return { ordered: numbered, distance: null, findings: [...findings, { kind: 'no-positions', message }] };
  }
  const heightOf = (image: AxialImage) => dot(image.geometry.position!, up);
  const sorted = numbered.toSorted((a, b) => heightOf(b) - heightOf(a));
  const ordered: AxialImage[] = [];
  const gaps: number[] = [];
  const again: AxialImage[] = [];
  for (const image of sorted) {
    const last = ordered.at(-1);
    const gap = last === undefined ? Infinity : heightOf(last) - heightOf(image);
    if (gap < 0.01) again.push(image);
    else {
      if (last !== undefined) gaps.push(gap);
      ordered.push(image);
    }
  }
  if (again.length > 0) {
    const names = [...new Set(again.map(({ path }) => basename(path)))];
    const message = `${counted(again.length, 'slice')} left out, at the position of another: ${listed(names)}`;
    findings.push({ kind: 'duplicate-positions', message });
  }
  const distance = medianOf(gaps);
  if (distance !== null) findings.push(...missingFinding(gaps, distance));
  return { ordered, distance, findings };
}

function tiltFinding(up: Vector, images: readonly AxialImage[]): ScanFinding[] {
  const degrees = (Math.acos(Math.min(1, up[2])) * 180) / Math.PI;
  const gantry = images.find(({ geometry }) => geometry.tilt !== 0)?.geometry.tilt ?? 0;
  if (degrees <= 1 && gantry === 0) return [];
  const parts = [
    ...(degrees > 1 ? [`slices lie ${degrees.toFixed(1)}° off the transverse plane`] : []),
    ...(gantry === 0 ? [] : [`GantryDetectorTilt (0018,1120) is ${gantry}°`]),
  ];
  return [{ kind: 'gantry-tilt', message: `${parts.join(' and ')}; the tilt is left in` }];
}

function missingFinding(gaps: readonly number[], distance: number): ScanFinding[] {
  const wide = gaps.filter((gap) => gap > 1.5 * distance);
  if (wide.length === 0) return [];
  const missing = wide.reduce((sum, gap) => sum + Math.max(1, Math.round(gap / distance) - 1), 0);
  const message =
    `about ${counted(missing, 'slice')} missing: ${counted(wide.length, 'gap')} of up to ` +
    `${Number(Math.max(...wide).toFixed(3))} mm where slices are ${Number(distance.toFixed(3))} mm apart`;
  return [{ kind: 'missing-slices', message }];
}

function oddImages(images: readonly AxialImage[]): ScanFinding[] {
  const findings: ScanFinding[] = [];
  const tell = (kind: string, count: number, message: string) => {
    if (count > 0) findings.push({ kind, message: `${message} (${counted(count, 'slice')})` });
  };
  const countOf = (test: (image: AxialImage) => boolean) => images.filter(test).length;
  const sizes = new Set(images.map(({ rows, columns }) => `${columns}×${rows}`));
  const spacings = new Set(images.map(({ geometry }) => JSON.stringify(geometry.spacing)));
  if (sizes.size > 1)
    findings.push({ kind: 'mixed-sizes', message: `slices of several sizes: ${listed([...sizes])}` });
  if (spacings.size > 1)
    findings.push({
      kind: 'mixed-spacings',
      message: 'PixelSpacing (0028,0030) differs within the series: the topmost slice counts',
    });
  tell(
    'monochrome1',
    countOf((image) => image.monochrome1),
    'MONOCHROME1, which viewers show inverted: Hounsfield units are those of the rescaling all the same',
  );
  tell(
    'padding',
    countOf((image) => image.padded > 0),
    `padding (PixelPaddingValue) made air, ${AIR} HU`,
  );
  tell(
    'no-rescale',
    countOf((image) => !image.rescaled),
    'no RescaleSlope and RescaleIntercept: stored values taken for Hounsfield units',
  );
  tell(
    'ignored-window',
    countOf((image) => image.oddWindow),
    'unusual WindowCenter or WindowWidth ignored',
  );
  return findings;
}

const isTransposed = ({ geometry }: AxialImage) => {
  const row = geometry.orientation?.row ?? [1, 0, 0];
  return Math.abs(row[0]) < Math.abs(row[1]);
};

/** Row 0 anterior, column 0 the patient's right. */
function turned(image: AxialImage): Slice {
  const { slice, geometry } = image;
  const { row, column } = geometry.orientation ?? { row: [1, 0, 0], column: [0, 1, 0] };
  const transposed = isTransposed(image);
  const mirrored = (transposed ? column : row)[0] < 0;
  const upended = (transposed ? row : column)[1] < 0;
  if (!transposed && !mirrored && !upended) return slice;
  const height = transposed ? slice.width : slice.height;
  const width = transposed ? slice.height : slice.width;
  const data = new Int16Array(slice.data.length);
  for (let y = 0; y < height; y++) {
    const v = upended ? height - 1 - y : y;
    for (let x = 0; x < width; x++) {
      const u = mirrored ? width - 1 - x : x;
      data[y * width + x] = slice.data[transposed ? u * slice.width + v : v * slice.width + u]!;
    }
  }
  return { height, width, data };
}

function medianOf(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return null;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
