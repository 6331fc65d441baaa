// One DICOM file: its images in Hounsfield units and what tells where they lie in the patient (LPS: x left, y posterior, z head).
import type { Slice } from '../../scan.ts';
import { frameElements, parseDicom, type Elements } from './dicom-dataset.ts';
import { decodeFrame, encodedFrames, rescaleOf, sampleFormat, toHounsfield } from './dicom-pixels.ts';

export type Vector = [x: number, y: number, z: number];

export interface Geometry {
  /** Of the first sample. */
  position: Vector | null;
  /** The way along a row, and down a column. */
  orientation: { row: Vector; column: Vector } | null;
  spacing: { rows: number; columns: number } | null;
  thickness: number | null;
  /** Degrees. */
  tilt: number;
}

export interface ImageHeader {
  path: string;
  series: string | null;
  patient: string | null;
  frameOfReference: string | null;
  instance: number | null;
  rows: number;
  columns: number;
  geometry: Geometry;
  /** Why it is no axial CT slice, or null. */
  otherThanAxial: string | null;
}

export interface DicomImage extends ImageHeader {
  /** Hounsfield units as stored, not turned; null where the image is no axial CT slice. */
  slice: (Slice & { data: Int16Array }) | null;
  /** Samples that were padding. */
  padded: number;
  monochrome1: boolean;
  rescaled: boolean;
  /** Several windows, or one that is none. */
  oddWindow: boolean;
}

export const MOST_SLICES = 4000;

/** The images of a file, one for each frame. Throws an Error with the reason, naming the field. */
export async function readDicomFile(path: string, bytes: Uint8Array): Promise<DicomImage[]> {
  const { transferSyntax, dataset } = parseDicom(bytes);
  const file = frameElements(dataset, 0);
  const format = sampleFormat(file);
  const frames = file.whole('NumberOfFrames', { from: 1, to: MOST_SLICES, missing: 1 });
  const encoded = encodedFrames({ dataset, transferSyntax, frames }, format);
  const images: DicomImage[] = [];
  for (const [frame, bytesOfFrame] of encoded.entries()) {
    const elements = frame === 0 ? file : frameElements(dataset, frame);
    const header = headerOf(elements, { path, rows: format.rows, columns: format.columns });
    const rescale = rescaleOf(elements, format);
    const image = {
      ...header,
      monochrome1: elements.text('PhotometricInterpretation') === 'MONOCHROME1',
      rescaled: elements.number('RescaleSlope') !== null || elements.number('RescaleIntercept') !== null,
      oddWindow: hasOddWindow(elements),
    };
    if (image.otherThanAxial !== null) {
      images.push({ ...image, slice: null, padded: 0 });
      continue;
    }
    const samples = await decodeFrame(bytesOfFrame, format, transferSyntax);
    const { data, padded } = toHounsfield(samples, format, rescale);
    images.push({ ...image, slice: { height: format.rows, width: format.columns, data }, padded });
  }
  return images;
}

function headerOf(
  elements: Elements,
  { path, rows, columns }: { path: string; rows: number; columns: number },
) {
  const geometry = geometryOf(elements);
  return {
    path,
    series: elements.text('SeriesInstanceUID'),
    patient: elements.text('PatientID'),
    frameOfReference: elements.text('FrameOfReferenceUID'),
    instance: elements.numbers('InstanceNumber', 1)?.[0] ?? null,
    rows,
    columns,
    geometry,
    otherThanAxial: otherThanAxial(elements, geometry),
  };
}

function geometryOf(elements: Elements): Geometry {
  const position = elements.numbers('ImagePositionPatient', 3);
  const cosines = elements.numbers('ImageOrientationPatient', 6);
  const row = unit(cosines?.slice(0, 3));
  const column = unit(cosines?.slice(3));
  const spacing = elements.numbers('PixelSpacing', 2);
  const [rows = 0, columns = 0] = spacing ?? [];
  const thickness =
    elements.numbers('SpacingBetweenSlices', 1)?.[0] ?? elements.numbers('SliceThickness', 1)?.[0] ?? 0;
  return {
    position: position as Vector | null,
    orientation: row && column && { row, column },
    spacing: rows > 0 && columns > 0 ? { rows, columns } : null,
    thickness: thickness > 0 ? thickness : null,
    tilt: elements.numbers('GantryDetectorTilt', 1)?.[0] ?? 0,
  };
}

function otherThanAxial(elements: Elements, { orientation }: Geometry): string | null {
  const modality = elements.text('Modality');
  if (modality !== null && modality !== 'CT') return `of modality ${modality}`;
  if (elements.texts('ImageType').includes('LOCALIZER')) return 'a localizer';
  if (orientation !== null && Math.abs(normalOf(orientation)[2]) < Math.SQRT1_2) return 'not axial';
  return null;
}

function hasOddWindow(elements: Elements): boolean {
  const windows = [elements.values('WindowCenter'), elements.values('WindowWidth')];
  const [width] = elements.numbers('WindowWidth', 1) ?? [];
  return windows.some(({ length }) => length > 1) || (windows[1]!.length > 0 && !(width! >= 1));
}

export const dot = (a: Vector, b: Vector) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/** At right angles to the slice, on the side that right-handed axes give. */
export function normalOf({ row: r, column: c }: { row: Vector; column: Vector }): Vector {
  const normal = [r[1] * c[2] - r[2] * c[1], r[2] * c[0] - r[0] * c[2], r[0] * c[1] - r[1] * c[0]];
  return unit(normal) ?? [0, 0, 0];
}

function unit(vector: readonly number[] | undefined): Vector | null {
  const length = Math.hypot(...(vector ?? []));
  return vector !== undefined && length > 0 ? (vector.map((x) => x / length) as Vector) : null;
}
