// Masks among scans: by their names (`a_mask.nii` beside `a.nii`, `masks/a.nii`), and by their values, a few labels.
import { basename, relative, sep } from 'node:path';
import { messageOf } from '@ct-ensemble/core';
import type { ScanFormat } from '../scan-entry.ts';
import { decodeValues } from '../readers/images/slices.ts';
import { readSliceFiles } from '../readers/slice-source.ts';
import { LABELS_ONLY } from '../readers/values.ts';
import { readVolumeOf } from '../readers/volume-formats.ts';
import type { Scan } from '../scan.ts';

const WORD =
  /(?:^|[^a-z])(?:masks?|segs?|segm|segmentations?|labels?|labelmaps?|gt|ground[ _-]?truth|rois?|lesions?|infections?|annotations?|contours?)(?![a-z])/i;

const PREVIEW = /(?:^|[^a-z])(?:thumb|thumbs|thumbnails?|previews?|icons?)(?![a-z])/i;

/** `labelsTr` as `labels Tr`. */
const apart = (name: string) => name.replaceAll(/([a-z])([A-Z])/g, '$1 $2');

/** Whether a name says that a file or folder is a mask: `lung_mask`, `labelsTr`, `12-seg`. */
export const isNamedMask = (name: string) => WORD.test(apart(name));

/** Whether a name says that an image is a preview: `12_thumb`, `preview_1`. */
export const isNamedPreview = (name: string) => PREVIEW.test(apart(name));

const digitsOf = (name: string) => (name.match(/\d+/g) ?? []).map(Number).join(' ');

/**
 * Of names without endings, those that say that they are masks or previews of another: `a_lung_mask` and `mask_a` beside
 * `a`, `mask_12` beside `image_12`.
 */
export function masksAmong(names: readonly string[]): Set<string> {
  const isOther = (name: string) => isNamedMask(name) || isNamedPreview(name);
  const plain = names.filter((name) => !isOther(name));
  const digits = new Set(plain.map(digitsOf).filter((text) => text !== ''));
  const known = new Set(plain);
  /** The parts of a name that are names too: `lung`, `a` and `lung_a` of `lung_a_mask`. */
  const holdsPlain = (name: string) => {
    const ends = [...name.matchAll(/[_\-. ]|$/g)].map(({ index }) => index);
    const starts = [0, ...ends.map((end) => end + 1)];
    return starts.some((start) => ends.some((end) => end > start && known.has(name.slice(start, end))));
  };
  return new Set(names.filter((name) => isOther(name) && (digits.has(digitsOf(name)) || holdsPlain(name))));
}

/** The files of a scan that was found. */
interface Files {
  path: string;
  format: ScanFormat;
  slices: readonly string[];
}

/** Whether a folder below `start` or the file itself is named as a mask, and the values are a few labels. */
export async function isMask({ path, format, slices }: Files, start: string): Promise<boolean> {
  return relative(start, path).split(sep).some(isNamedMask) && (await holdsLabels({ format, slices }));
}

/** Whether the values of images or of a volume are labels. False if the files cannot be read: preparation says why. */
export async function holdsLabels({ format, slices }: Pick<Files, 'format' | 'slices'>): Promise<boolean> {
  if (format === 'dicom' || slices.length === 0) return false;
  if (format === 'images') return areLabelImages(slices);
  const [header, data] = await readSliceFiles(slices);
  if (header?.bytes == null || (slices.length > 1 && data?.bytes == null)) return false;
  try {
    const file = { path: slices[0]!, bytes: header.bytes };
    const whole = data?.bytes ? { ...file, data: { path: slices[1]!, bytes: data.bytes } } : file;
    return isLabelMap(await readVolumeOf(format, whole));
  } catch (error) {
    return messageOf(error).includes(LABELS_ONLY);
  }
}

/** Of the neighbours in the rows of a map of labels, so many are equal; of grey values in a CT less than half. */
const EQUAL_NEIGHBOURS = 0.95;

/** Whether a volume of 0 … 255 has large areas of one value each, as a map of many labels. */
function isLabelMap({ values, slices }: Scan): boolean {
  if (values !== 'grey') return false;
  let equal = 0;
  let total = 0;
  for (const { data } of slices) {
    total += data.length - 1;
    for (let i = 1; i < data.length; i++) if (data[i] === data[i - 1]) equal++;
  }
  return equal > total * EQUAL_NEIGHBOURS;
}

/** Images that are looked at, spread over the scan. */
const IMAGES = 5;

/** Values that differ from black or white by at most this count as black or white: JPEG blurs edges. */
const NEAR = 16;

async function areLabelImages(slices: readonly string[]): Promise<boolean> {
  const places = Array.from({ length: IMAGES }, (_, i) =>
    Math.floor(((slices.length - 1) * i) / (IMAGES - 1)),
  );
  const files = await readSliceFiles([...new Set(places)].map((place) => slices[place]!));
  const counts = new Map<number, number>();
  try {
    for (const { bytes } of files) {
      if (bytes === null) return false;
      for (const value of (await decodeValues(bytes)).values) counts.set(value, (counts.get(value) ?? 0) + 1);
    }
  } catch {
    return false;
  }
  const most = Math.max(...counts.keys());
  let [total, extreme] = [0, 0];
  for (const [value, count] of counts) {
    total += count;
    if (value <= NEAR || value >= most - NEAR) extreme += count;
  }
  return most > 0 && (counts.size < 16 || (most > 4 * NEAR && extreme > total * 0.98));
}

/** `masks/1, masks/2`: for a finding. */
export const namesBelow = (start: string, paths: readonly string[]) =>
  paths.map((path) => relative(start, path) || basename(path));
