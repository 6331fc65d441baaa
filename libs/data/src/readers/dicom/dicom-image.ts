// One DICOM file: its images in Hounsfield units, and their position in the patient. Coordinates are DICOM's LPS, in mm:
// x to the patient's left, y to the back, z to the head.
import { messageOf } from '@ct-ensemble/core';
import type { Slice } from '../../scan.ts';
import { parseDicom } from './dicom-dataset.ts';
import { fieldName, frameElements, type Elements } from './dicom-elements.ts';
import { decodedFormat, decodeFrame, requireSupported, sampleFormat } from './dicom-pixels.ts';
import { encodedFrames, nativeLength } from './encoded-frames.ts';
import { rescaleOf, toHounsfield, type SampleTarget } from './hounsfield.ts';
import { isNative } from './transfer-syntaxes.ts';
import { MAX_VOXELS } from '../voxels.ts';

export type Vector = [x: number, y: number, z: number];

export interface Geometry {
  /** Of the first sample, in mm. */
  position: Vector | null;
  /** SliceLocation in mm. */
  location: number | null;
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
  /** StudyInstanceUID. */
  study: string | null;
  /** SeriesInstanceUID. */
  series: string | null;
  patient: string | null;
  frameOfReference: string | null;
  /** AcquisitionNumber. */
  acquisition: number | null;
  /** ImageType, its values joined by a backslash. */
  imageType: string;
  /** ConvolutionKernel. */
  kernel: string;
  /** AcquisitionDate, AcquisitionTime and ContentTime, joined by a blank. */
  time: string;
  /** Other fields that tell scans under one SeriesInstanceUID apart: the values of `SCAN_TRAITS` and `IMAGE_TRAITS`. */
  traits: readonly string[];
  /** InstanceNumber. */
  instance: number | null;
  /** Index of the frame in its file. */
  frame: number;
  /** SOP class Secondary Capture: a converted image, or a page that a workstation saved. */
  secondaryCapture: boolean;
  rows: number;
  columns: number;
  geometry: Geometry;
  /** Why the image is not an axial CT slice; null if it is one. */
  notAxial: string | null;
}

export interface DicomImage extends ImageHeader {
  /** Hounsfield units, or the numbers of the target, in the orientation of the file; null if the image is not an axial CT slice. */
  slice: (Slice & { data: Int16Array }) | null;
  /** Number of samples that were padding. */
  padded: number;
  /** Number of samples that lossy compression had moved out of the stored range. */
  clamped: number;
  /** Bytes of pixel data that belong to no frame. */
  surplus: number;
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
export async function readDicomFile(
  path: string,
  bytes: Uint8Array,
  target?: SampleTarget,
): Promise<DicomImage[]> {
  const { transferSyntax, little, dataset, pixelData } = parseDicom(bytes);
  const file = frameElements(dataset, 0);
  if (pixelData === null)
    throw new Error(
      `field ${fieldName('PixelData')} is missing: no image, or the file is damaged or cut short`,
    );
  if (!isNative(transferSyntax)) requireSupported(transferSyntax);
  const format = sampleFormat(file);
  // Some writers state no frames where there is one.
  const count = file.whole('NumberOfFrames', { from: 0, to: MAX_SLICES, missing: 1 }) || 1;
  if (format.rows * format.columns * count > MAX_VOXELS)
    throw new Error(
      `fields ${fieldName('Rows')}, ${fieldName('Columns')}, ${fieldName('NumberOfFrames')}: ` +
        `${format.rows} × ${format.columns} × ${count} voxels; a CT scan may have at most ${MAX_VOXELS}`,
    );
  const extendedOffsets = file.values('ExtendedOffsetTable').map(Number);
  // Some writers name a compressed transfer syntax for uncompressed pixel data, which their length gives away (GDCM).
  const isPlain = 'bytes' in pixelData && pixelData.bytes.length === nativeLength(format, count);
  const native = isPlain || isNative(transferSyntax);
  const { frames, surplus } = inPixelData(() =>
    encodedFrames({ pixelData, transferSyntax, native, little, frames: count, extendedOffsets }, format),
  );
  const images: DicomImage[] = [];
  for (const [frame, bytesOfFrame] of frames.entries()) {
    const elements = frame === 0 ? file : frameElements(dataset, frame);
    const header = headerOf(elements, { path, frame, rows: format.rows, columns: format.columns });
    const rescale = rescaleOf(elements, format, target);
    const image = {
      ...header,
      monochrome1: elements.text('PhotometricInterpretation') === 'MONOCHROME1',
      rescaled: elements.number('RescaleSlope') !== null || elements.number('RescaleIntercept') !== null,
      unusualWindow: hasUnusualWindow(elements),
    };
    if (image.notAxial !== null) {
      images.push({ ...image, slice: null, padded: 0, clamped: 0, surplus: 0 });
      continue;
    }
    const decoded = await decodeFrame(bytesOfFrame, format, { transferSyntax, native }).catch(
      rethrowOfPixelData,
    );
    const { data, padded, clamped } = toHounsfield(decoded, decodedFormat(format), rescale);
    const slice = { height: format.rows, width: format.columns, data };
    images.push({ ...image, slice, padded, clamped, surplus: decoded.surplus + (frame === 0 ? surplus : 0) });
  }
  return images;
}

/** Puts the field's name before the reason of an error. */
function rethrowOfPixelData(cause: unknown): never {
  throw new Error(`field ${fieldName('PixelData')} ${messageOf(cause)}`, { cause });
}

function inPixelData<T>(read: () => T): T {
  try {
    return read();
  } catch (cause) {
    return rethrowOfPixelData(cause);
  }
}

function headerOf(
  elements: Elements,
  where: { path: string; frame: number; rows: number; columns: number },
): ImageHeader {
  const geometry = geometryOf(elements);
  return {
    ...where,
    study: elements.text('StudyInstanceUID'),
    series: elements.text('SeriesInstanceUID'),
    patient: elements.text('PatientID'),
    frameOfReference: elements.text('FrameOfReferenceUID'),
    acquisition:
      elements.numbers('AcquisitionNumber', 1)?.[0] ??
      elements.numbers('FrameAcquisitionNumber', 1)?.[0] ??
      null,
    imageType: elements.texts('ImageType').join('\\'),
    kernel: elements.texts('ConvolutionKernel').join('\\'),
    time: (['AcquisitionDate', 'AcquisitionTime', 'ContentTime'] as const)
      .map((keyword) => elements.text(keyword) ?? '')
      .join(' '),
    traits: [...SCAN_TRAITS, ...IMAGE_TRAITS].map((keyword) => elements.texts(keyword).join('\\')),
    instance: elements.numbers('InstanceNumber', 1)?.[0] ?? null,
    secondaryCapture: elements.text('SOPClassUID')?.startsWith(SECONDARY_CAPTURE) ?? false,
    geometry,
    notAxial: reasonNotAxial(elements, geometry),
  };
}

/** Fields that all images of a scan share, beside those that `ImageHeader` names; scans under one UID may differ in them. */
export const SCAN_TRAITS = [
  'KVP',
  'TemporalPositionIdentifier',
  'TemporalPositionIndex',
  'StackID',
  'SeriesNumber',
  'SeriesDescription',
  'ReconstructionDiameter',
  'AcquisitionDate',
] as const;

/** Fields that differ between scans under one UID, but may differ within a scan too. */
export const IMAGE_TRAITS = ['AcquisitionTime', 'ContentTime', 'TriggerTime'] as const;

const SECONDARY_CAPTURE = '1.2.840.10008.5.1.4.1.1.7';

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
    location: elements.numbers('SliceLocation', 1)?.[0] ?? null,
    orientation: row && column && { row, column },
    spacing: rows > 0 && columns > 0 ? { rows, columns } : null,
    thickness: thickness > 0 ? thickness : null,
    tilt: elements.numbers('GantryDetectorTilt', 1)?.[0] ?? 0,
  };
}

function reasonNotAxial(elements: Elements, { orientation }: Geometry): string | null {
  const modality = elements.text('Modality');
  if (modality !== null && modality !== 'CT') return `of modality ${modality}`;
  const types = [...elements.texts('ImageType'), ...elements.texts('FrameType')];
  if (types.includes('LOCALIZER')) return 'a localizer';
  if (types.includes('SCREEN SAVE')) return 'a saved screen';
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
