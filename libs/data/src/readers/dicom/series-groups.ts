// Which images make a scan. A series is one scan, except where its images contradict each other: then it is several
// scans, or images are left out. Whatever deviates from “one SeriesInstanceUID, one scan” is reported.
import { basename, dirname } from 'node:path';
import { counted, listed } from '../../findings.ts';
import type { ScanFinding } from '../../scan.ts';
import { fieldName } from './dicom-elements.ts';
import { dot, IMAGE_TRAITS, normalOf, SCAN_TRAITS, type AxialImage, type Vector } from './dicom-image.ts';
import { heightAxis, SAME_POSITION } from './slice-order.ts';

/** The images of one scan. */
export interface ImageGroup {
  images: AxialImage[];
  findings: ScanFinding[];
}

/** Fewer series of one image each are not taken for a series whose images each got a UID of their own. */
const MIN_JOINED = 3;

/** Slices whose normals differ by more than this, in degrees, are of different scans. */
const MAX_ANGLE = 1;

/** The images as scans. */
export function groupImages(images: readonly AxialImage[]): ImageGroup[] {
  const series = [...partsBy(images, seriesKey).values()].map((members): ImageGroup => ({
    images: members,
    findings: [],
  }));
  return joinSingleImages(series)
    .map(withoutSavedScreens)
    .flatMap((group) => split(group, 'StudyInstanceUID (0020,000D)', ({ study }) => study))
    .flatMap((group) => split(group, 'FrameOfReferenceUID (0020,0052)', (image) => image.frameOfReference))
    .flatMap(splitByOrientation)
    .flatMap(splitByAcquisition)
    .flatMap(splitByOtherFields);
}

const seriesKey = ({ series, path, frameOfReference, rows, columns }: AxialImage) =>
  JSON.stringify(series === null ? [dirname(path), frameOfReference, rows, columns] : [series]);

function partsBy(images: readonly AxialImage[], keyOf: (image: AxialImage) => unknown) {
  const parts = new Map<unknown, AxialImage[]>();
  for (const image of images) {
    const key = keyOf(image);
    const part = parts.get(key);
    if (part === undefined) parts.set(key, [image]);
    else part.push(image);
  }
  return parts;
}

/**
 * Joins series of one image each to one: some anonymisers make a SeriesInstanceUID for every file, and some make the
 * other UIDs new too. The images must agree in patient, size, spacing and orientation and each have a position of its
 * own; and either in study and frame of reference, or, where these are absent or different in each image, their
 * positions must be evenly spaced.
 */
function joinSingleImages(series: readonly ImageGroup[]): ImageGroup[] {
  const isSingle = ({ images: [first, ...others] }: ImageGroup) =>
    others.length === 0 && first!.series !== null && first!.geometry.position !== null;
  const singles = series.filter(isSingle).flatMap(({ images }) => images);
  const joined: ImageGroup[] = [];
  const members = new Set<AxialImage>();
  const join = (images: readonly AxialImage[], shared: string) => {
    for (const image of images) members.add(image);
    const message =
      `each of ${images.length} images has a SeriesInstanceUID (0020,000E) of its own; they are one scan, because they ` +
      `share ${shared}size, spacing and orientation, and no two have the same position`;
    joined.push({ images: [...images], findings: [{ kind: 'series-per-image', message }] });
  };
  const areJoinable = (images: readonly AxialImage[]) =>
    images.length >= MIN_JOINED && !hasSharedPosition(images);
  const withUids = singles.filter(
    ({ study, frameOfReference }) => study !== null && frameOfReference !== null,
  );
  const uidsOf = ({ study, frameOfReference }: AxialImage) => [study, frameOfReference];
  for (const images of partsBy(withUids, (image) => commonKey(image, uidsOf(image))).values())
    if (areJoinable(images)) join(images, 'study, frame of reference, ');
  const others = singles.filter((image) => !members.has(image));
  for (const images of partsBy(others, (image) => commonKey(image, [])).values()) {
    const isUninformative = (valueOf: (image: AxialImage) => string | null) => {
      const values = new Set(images.map(valueOf));
      return values.size === 1 || values.size === images.length;
    };
    const areUninformative =
      isUninformative(({ study }) => study) && isUninformative((image) => image.frameOfReference);
    if (areUninformative && areJoinable(images) && areEvenlySpaced(images)) join(images, 'patient, ');
  }
  return [...series.filter(({ images }) => !members.has(images[0]!)), ...joined];
}

const commonKey = ({ patient, rows, columns, geometry }: AxialImage, uids: readonly unknown[]) => {
  const { orientation, spacing } = geometry;
  const axes = orientation && [...orientation.row, ...orientation.column].map((cosine) => cosine.toFixed(3));
  return JSON.stringify([uids, patient, rows, columns, spacing, axes]);
};

/** Whether all neighbouring positions are equally far apart, up to a tenth. */
function areEvenlySpaced(images: readonly AxialImage[]): boolean {
  const heights = heightsOf(images).sort((a, b) => a - b);
  const gaps = heights.slice(1).map((height, i) => height - heights[i]!);
  return Math.max(...gaps) <= Math.min(...gaps) * 1.1;
}

/** Leaves out pages that a workstation saved (Secondary Capture), if other images of the series are none. */
function withoutSavedScreens({ images, findings }: ImageGroup): ImageGroup {
  const screens = images.filter(({ secondaryCapture }) => secondaryCapture);
  if (screens.length === 0 || screens.length === images.length) return { images, findings };
  const message = `left out because they are Secondary Captures, while other images of the series are not: ${namesOf(screens)}`;
  return {
    images: images.filter(({ secondaryCapture }) => !secondaryCapture),
    findings: [...findings, { kind: 'saved-screens', message }],
  };
}

/**
 * Splits a group by a field that is the same in all images of a scan. If every image has a value of its own, the field
 * does not say what belongs together and is ignored, with a finding.
 */
function split(
  group: ImageGroup,
  field: string,
  valueOf: (image: AxialImage) => string | null,
): ImageGroup[] {
  const parts = partsBy(group.images, valueOf);
  if (parts.size === 1) return [group];
  if (parts.size === group.images.length) {
    const message = `${field} is different in each of ${parts.size} images and is ignored`;
    return [{ ...group, findings: [...group.findings, { kind: 'uid-per-image', message }] }];
  }
  return reportedParts(group, [...parts.values()], {
    kind: 'mixed-series',
    reason: `${field} differs within the series`,
  });
}

function splitByOrientation(group: ImageGroup): ImageGroup[] {
  const parts: { normal: Vector; images: AxialImage[] }[] = [];
  const unoriented: AxialImage[] = [];
  for (const image of group.images) {
    const { orientation } = image.geometry;
    if (orientation === null) {
      unoriented.push(image);
      continue;
    }
    const normal = normalOf(orientation);
    const similar = parts.find(
      (part) => Math.abs(dot(part.normal, normal)) > Math.cos((MAX_ANGLE * Math.PI) / 180),
    );
    if (similar === undefined) parts.push({ normal, images: [image] });
    else similar.images.push(image);
  }
  if (parts.length <= 1) return [group];
  const sets = parts.map(({ images }) => images);
  sets.sort((a, b) => b.length - a.length)[0]!.push(...unoriented);
  return reportedParts(group, sets, {
    kind: 'mixed-orientations',
    reason: 'ImageOrientationPatient (0020,0037) differs within the series',
  });
}

/**
 * Splits a series whose acquisitions cover the same positions, such as two phases of contrast. Acquisitions beside each
 * other stay together: a scanner that moves the table step by step numbers every step.
 */
function splitByAcquisition(group: ImageGroup): ImageGroup[] {
  const parts = [...partsBy(group.images, ({ acquisition }) => acquisition)].sort(
    ([a], [b]) => ((a as number | null) ?? Infinity) - ((b as number | null) ?? Infinity),
  );
  if (parts.length === 1 || group.images.some(({ geometry }) => geometry.position === null)) return [group];
  const scans = withoutOverlap(parts.map(([, images]) => images));
  if (scans.length === 1) return [group];
  const numbers = scans.map((images) =>
    listed([...new Set(images.map(({ acquisition }) => acquisition ?? 'none'))], 3),
  );
  return reportedParts(group, scans, {
    kind: 'several-acquisitions',
    reason: `acquisitions of the series cover the same positions: AcquisitionNumber (0020,0012) ${numbers.join('; ')}`,
  });
}

/** Puts each part into the first set of parts with which it shares no positions. */
function withoutOverlap(parts: readonly AxialImage[][]): AxialImage[][] {
  const sets: { images: AxialImage[]; heights: number[] }[][] = [];
  for (const images of parts) {
    const heights = heightsOf(images);
    const set = sets.find((members) => !members.some((other) => coversSame(other.heights, heights)));
    if (set === undefined) sets.push([{ images, heights }]);
    else set.push({ images, heights });
  }
  return sets.map((set) => set.flatMap(({ images }) => images));
}

/** Whether two sets of heights overlap over more than half of the shorter one, or single slices lie at one position. */
function coversSame(a: readonly number[], b: readonly number[]): boolean {
  const range = (heights: readonly number[]) => [Math.min(...heights), Math.max(...heights)] as const;
  const [[lowA, highA], [lowB, highB]] = [range(a), range(b)];
  const shorter = Math.min(highA - lowA, highB - lowB);
  const overlap = Math.min(highA, highB) - Math.max(lowA, lowB);
  if (shorter > SAME_POSITION) return overlap > shorter / 2;
  return a.some((height) => b.some((other) => Math.abs(height - other) < SAME_POSITION));
}

/** Other fields in which two scans under one UID may differ. */
const OTHER_FIELDS: readonly {
  name: string;
  valueOf: (image: AxialImage) => unknown;
  /** Whether all images of a scan have the same value. */
  isOfScan: boolean;
}[] = [
  { name: 'ImageType (0008,0008)', valueOf: ({ imageType }) => imageType, isOfScan: true },
  { name: 'ConvolutionKernel (0018,1210)', valueOf: ({ kernel }) => kernel, isOfScan: true },
  { name: 'SliceThickness (0018,0050)', valueOf: ({ geometry }) => geometry.thickness, isOfScan: true },
  {
    name: 'PixelSpacing (0028,0030)',
    valueOf: ({ geometry }) => JSON.stringify(geometry.spacing),
    isOfScan: true,
  },
  {
    name: 'Rows and Columns (0028,0010)',
    valueOf: ({ rows, columns }) => `${rows} ${columns}`,
    isOfScan: true,
  },
  ...[...SCAN_TRAITS, ...IMAGE_TRAITS].map((keyword, i) => ({
    name: fieldName(keyword),
    valueOf: ({ traits }: AxialImage) => traits[i],
    isOfScan: i < SCAN_TRAITS.length,
  })),
  { name: 'the folder', valueOf: ({ path }) => dirname(path), isOfScan: false },
];

/**
 * Splits a group by the first other field that takes it apart into scans: into parts of similar size that cover the same
 * positions, or, where images share positions, into parts within which none do. Copies of an image are no reason to split.
 */
function splitByOtherFields(group: ImageGroup): ImageGroup[] {
  const { images } = group;
  if (images.some(({ geometry }) => geometry.position === null)) return [group];
  const areShared = hasSharedPosition(images, isOtherImage);
  for (const { name, valueOf, isOfScan } of OTHER_FIELDS) {
    const parts = [...partsBy(images, valueOf).values()];
    if (parts.length === 1 || parts.length > images.length / 2) continue;
    const isSolved = areShared && !parts.some((part) => hasSharedPosition(part));
    const areSimilar = parts.every(({ length }) => length >= images.length / parts.length / 2);
    const overlap = isOfScan && areSimilar && withoutOverlap(parts).length > 1;
    if (!isSolved && !overlap) continue;
    const reason = `images of the series cover the same positions, and differ in ${name}`;
    return reportedParts(group, parts, { kind: 'mixed-series', reason }).flatMap(splitByOtherFields);
  }
  return [group];
}

function reportedParts(
  { findings }: ImageGroup,
  parts: readonly AxialImage[][],
  { kind, reason }: { kind: string; reason: string },
): ImageGroup[] {
  const sizes = listed(parts.map(({ length }) => length));
  return parts.map((images) => {
    const message = `${reason}; it is read as ${parts.length} scans, of ${sizes} slices; this one has ${counted(images.length, 'slice')}, such as ${basename(images[0]!.path)}`;
    return { images, findings: [...findings, { kind, message }] };
  });
}

/** Heights in mm along the normal of the slices; all images have a position. */
function heightsOf(images: readonly AxialImage[]): number[] {
  const axis = heightAxis(images);
  return images.map(({ geometry }) => dot(geometry.position ?? [0, 0, 0], axis));
}

/** Whether two images lie at one position, of which the second is `counts`. */
function hasSharedPosition(
  images: readonly AxialImage[],
  counts: (a: AxialImage, b: AxialImage) => boolean = () => true,
): boolean {
  const heights = heightsOf(images);
  const order = [...images.keys()].sort((a, b) => heights[a]! - heights[b]!);
  return order.some((i, k) => {
    const previous = order[k - 1];
    return (
      previous !== undefined &&
      heights[i]! - heights[previous]! < SAME_POSITION &&
      counts(images[previous]!, images[i]!)
    );
  });
}

/** Whether two images are not copies of each other. */
const isOtherImage = ({ slice: a }: AxialImage, { slice: b }: AxialImage) =>
  a.height !== b.height || a.width !== b.width || a.data.some((value, i) => value !== b.data[i]);

const namesOf = (images: readonly AxialImage[]) =>
  listed([...new Set(images.map(({ path }) => basename(path)))]);
