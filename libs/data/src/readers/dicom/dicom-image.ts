// One DICOM file: its images in Hounsfield units, and their position in the patient. Coordinates are DICOM's LPS, in mm:
// x to the patient's left, y to the back, z to the head.
import type { Slice } from '../../scan.ts';
import { parseDicom } from './dicom-dataset.ts';
import { frameElements, type Elements } from './dicom-elements.ts';
import { decodeFrame, encodedFrames, sampleFormat } from './dicom-pixels.ts';
import { rescaleOf, toHounsfield } from './hounsfield.ts';

export type Vector = [x: number, y: number, z: number];

export interface Geometry {
  /** Of the first sample, in mm. */
  position: Vector | null;
  /** Unit vectors: along a row, from its first sample to the next, and down a column. */
  orientation: { row: Vector; column: Vector } | null;
  /** Millimetres between the centres of rows and of columns. */
  spacing: { rows: number; columns: number } | null;
  /** SpacingBetweenSlices or else SliceThickness, in mm. */
  thickness: number | null;
  /** GantryDetectorTilt in degrees; 0 if the file does not state it. */
  tilt: number;
}

/** What the header says about one image; null where it says nothing. */
export interface ImageHeader {
  path: string;
  /** SeriesInstanceUID. */
  series: string | null;
  patient: string | null;
  frameOfReference: string | null;
  /** InstanceNumber. */
  instance: number | null;
  rows: number;
  columns: number;
  geometry: Geometry;
  /** Why the image is not an axial CT slice; null if it is one. */
  notAxial: string | null;
}

export interface DicomImage extends ImageHeader {
  /** Hounsfield units in the orientation of the file; null if the image is not an axial CT slice. */
  slice: (Slice & { data: Int16Array }) | null;
  /** Number of samples that were padding. */
  padded: number;
  monochrome1: boolean;
  /** Whether the file states a slope or an intercept. */
  rescaled: boolean;
  /** Whether the file states several windows, or an invalid one. */
  unusualWindow: boolean;
}

/** An image that is an axial CT slice. */
export type AxialImage = DicomImage & { slice: NonNullable<DicomImage['slice']> };

/** A file may have at most this many frames, and a series this many slices. */
export const MAX_SLICES = 4000;

/** The images of a file, one per frame. Throws an Error with the reason, which names the field. */
export async function readDicomFile(path: string, bytes: Uint8Array): Promise<DicomImage[]> {
  const { transferSyntax, dataset } = parseDicom(bytes);
  const file = frameElements(dataset, 0);
  const format = sampleFormat(file);
  const frames = file.whole('NumberOfFrames', { from: 1, to: MAX_SLICES, missing: 1 });
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
      unusualWindow: hasUnusualWindow(elements),
    };
    if (image.notAxial !== null) {
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
    notAxial: reasonNotAxial(elements, geometry),
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

function reasonNotAxial(elements: Elements, { orientation }: Geometry): string | null {
  const modality = elements.text('Modality');
  if (modality !== null && modality !== 'CT') return `of modality ${modality}`;
  if (elements.texts('ImageType').includes('LOCALIZER')) return 'a localizer';
  if (orientation !== null && Math.abs(normalOf(orientation)[2]) < Math.SQRT1_2) return 'not axial';
  return null;
}

function hasUnusualWindow(elements: Elements): boolean {
  const windows = [elements.values('WindowCenter'), elements.values('WindowWidth')];
  const [width] = elements.numbers('WindowWidth', 1) ?? [];
  return windows.some(({ length }) => length > 1) || (windows[1]!.length > 0 && !(width! >= 1));
}

export const dot = (a: Vector, b: Vector) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/** The unit vector perpendicular to the slice: row × column. */
export function normalOf({ row: r, column: c }: { row: Vector; column: Vector }): Vector {
  const normal = [r[1] * c[2] - r[2] * c[1], r[2] * c[0] - r[0] * c[2], r[0] * c[1] - r[1] * c[0]];
  return unit(normal) ?? [0, 0, 0];
}

function unit(vector: readonly number[] | undefined): Vector | null {
  const length = Math.hypot(...(vector ?? []));
  return vector !== undefined && length > 0 ? (vector.map((x) => x / length) as Vector) : null;
}
