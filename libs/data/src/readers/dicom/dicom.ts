// DICOM CT series: from the files of a folder to scans in Hounsfield units, usually one scan per series.
import { messageOf, UserError } from '@ct-ensemble/core';
import { basename } from 'node:path';
import { counted, listed } from '../../findings.ts';
import { MAX_SLICES, readDicomFile, type AxialImage, type DicomImage } from './dicom-image.ts';
import { HOUNSFIELD, type SampleTarget } from './hounsfield.ts';
import { groupImages, type ImageGroup } from './series-groups.ts';
import { orderSlices } from './slice-order.ts';
import { isTransposed, turned } from './slice-orientation.ts';
import type { Scan, ScanFinding } from '../../scan.ts';
import { MAX_VOXELS } from '../voxels.ts';

export { isDicom } from './dicom-bytes.ts';

/** Pixel data may be padded with this many bytes. */
const MAX_PADDING = 2;

export interface DicomFile {
  /** Names the file in findings and errors. */
  path: string;
  bytes: Uint8Array;
}

/**
 * Reads one scan per SeriesInstanceUID; `groupImages` says when a series is several
 * scans. Images without that UID form one scan if they share the folder, the frame of reference and the size. Files that
 * cannot be read, and images that are not axial CT slices, are left out with a finding. Slices are ordered from head to
 * feet; row 0 is anterior and column 0 is the patient's right. `target` says what samples become; by default they are
 * Hounsfield units.
 * @throws {UserError} naming a file and its field, if no slice can be read; also for more than `MAX_SLICES` in a series or `MAX_VOXELS` in all.
 */
export async function readDicomSeries(
  files: readonly DicomFile[],
  target: SampleTarget = HOUNSFIELD,
): Promise<Scan[]> {
  if (files.length === 0) throw new UserError('no DICOM file', { remedy: 'name the files of a CT series' });
  const sliceCounts = new Map<string | null, number>();
  const axial: AxialImage[] = [];
  const leftOut: DicomImage[] = [];
  const unreadable: { path: string; problem: string; cause: unknown }[] = [];
  let voxels = 0;
  for (const { path, bytes } of files) {
    let images: DicomImage[];
    try {
      images = await readDicomFile(path, bytes, target);
    } catch (cause) {
      unreadable.push({ path, problem: messageOf(cause), cause });
      continue;
    }
    for (const image of images) {
      if (!isAxial(image)) {
        leftOut.push(image);
        continue;
      }
      voxels += image.rows * image.columns;
      if (voxels > MAX_VOXELS)
        throw new UserError(`its slices and those before it have more than ${MAX_VOXELS} voxels`, {
          file: path,
          remedy: 'put each scan into a folder of its own',
        });
      const count = (sliceCounts.get(image.series) ?? 0) + 1;
      if (count > MAX_SLICES)
        throw new UserError(`its series has more than ${MAX_SLICES} slices`, {
          file: path,
          remedy: 'put each scan into a folder of its own',
        });
      sliceCounts.set(image.series, count);
      axial.push(image);
    }
  }
  if (axial.length === 0) throw nothingLeft({ files, unreadable, leftOut });

  const common: ScanFinding[] = [];
  if (leftOut.length > 0) common.push(leftOutFinding(leftOut));
  for (const { path, problem } of unreadable)
    common.push({ kind: 'unreadable-file', message: `left out: ${basename(path)} ${problem}` });
  return groupImages(axial).map((group) => toScan(group, { common, target }));
}

const isAxial = (image: DicomImage): image is AxialImage => image.slice !== null;

function leftOutFinding(images: readonly DicomImage[]): ScanFinding {
  const names = images.map(({ path, notAxial }) => `${basename(path)} (${notAxial})`);
  return {
    kind: 'not-axial',
    message: `left out because they are not axial CT slices: ${listed([...new Set(names)])}`,
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
      `there is no axial CT slice in ${counted(files.length, 'file')}; this one is ${leftOut[0]!.notAxial}`,
      { file: leftOut[0]!.path, remedy: 'give the axial series of the scan' },
    );
  const problem =
    files.length === 1
      ? first.problem
      : `${first.problem}; none of the ${counted(files.length, 'file')} can be read`;
  return new UserError(problem, {
    file: first.path,
    remedy: 'export the series again, without compression if this one is not supported',
    cause: first.cause,
  });
}

function toScan(
  group: ImageGroup,
  { common, target }: { common: readonly ScanFinding[]; target: SampleTarget },
): Scan {
  const { ordered, distance, findings } = orderSlices(group.images);
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
    findings: [...group.findings, ...findings, ...imageFindings(ordered, target), ...common],
  };
}

function imageFindings(images: readonly AxialImage[], target: SampleTarget): ScanFinding[] {
  const findings: ScanFinding[] = [];
  const report = (kind: string, count: number, message: string) => {
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
      message: 'PixelSpacing (0028,0030) differs within the series: that of the topmost slice is used',
    });
  report(
    'monochrome1',
    countOf((image) => image.monochrome1),
    'MONOCHROME1, which viewers show inverted; it does not change the Hounsfield units',
  );
  report(
    'padding',
    countOf((image) => image.padded > 0),
    `padding (PixelPaddingValue) was replaced by ${target.padding === HOUNSFIELD.padding ? `air, ${HOUNSFIELD.padding} HU` : 'black'}`,
  );
  report(
    'clamped-samples',
    countOf((image) => image.clamped > 0),
    'lossy compression moved samples out of the range of BitsStored (0028,0101); they were clamped to that range',
  );
  report(
    'surplus-pixel-data',
    countOf((image) => image.surplus > MAX_PADDING),
    'PixelData (7FE0,0010) holds more than the images that NumberOfFrames, Rows and Columns state',
  );
  report(
    'no-rescale',
    countOf((image) => !image.rescaled),
    'no RescaleSlope and RescaleIntercept: the stored values are used without rescaling',
  );
  report(
    'ignored-window',
    countOf((image) => image.unusualWindow),
    'several windows, or an invalid WindowWidth: the window is ignored',
  );
  return findings;
}
