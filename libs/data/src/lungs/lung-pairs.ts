// Training data of the lung segmenter: DIR/images/X with its lung mask DIR/masks/X, JPEG or PNG slices or NIfTI volumes.
import { extname, join } from 'node:path';
import { MAX_BYTES, messageOf, readRegularFile, UserError } from '@ct-ensemble/core';
import { counted, listed, type Finding } from '../findings.ts';
import { isSystemFile, listFolder } from '../layouts/listing.ts';
import { volumeOf, readVolumeOf } from '../readers/volume-formats.ts';
import { atEdge, type SliceSamples } from './slice-samples.ts';
import { decodeSlice } from '../readers/images/slices.ts';
import { greyOf, type GreyImage } from '../scan.ts';

/** Describes the folder layout in error messages. */
export const PAIRS_LAYOUT =
  'DIR/images/X.png (or .jpg) beside DIR/masks/X.png, or DIR/images/X.nii.gz beside DIR/masks/X.nii.gz; folders within both are kept';

interface Pair {
  /** Path relative to images/, without the file extension. */
  name: string;
  kind: 'slice' | 'volume';
  /** Absolute path. */
  image: string;
  /** Absolute path. */
  mask: string;
}

/** A slice with its mask, both at the slice's own size. `mask` is 255 for lung, 0 elsewhere. */
interface MaskedSlice {
  name: string;
  group: string;
  image: GreyImage;
  mask: GreyImage;
}

/**
 * Yields every slice with its mask, one at a time. What the values of a volume are is decided by `decide` (values.ts);
 * Hounsfield units are converted to grey by `greyOfHU`. In the mask of a volume every value above 0 is lung; in a PNG or JPEG mask every value above 127, or above 0 if no value is above 1.
 *
 * Slices belong to one group if they share a folder below images/, or else a name except for its last number (`ID_0194`
 * of `ID_0194_Z_0120.png`). The slices of a volume are one group.
 * @throws {UserError} naming the file, if an image has no mask or a mask no image, a file cannot be read, or sizes differ;
 * also if there is no pair.
 */
export async function* maskedSlices(data: string, findings: Finding[] = []): AsyncGenerator<MaskedSlice> {
  for (const pair of await pairsOf(data)) {
    if (pair.kind === 'slice') yield await readSlices(pair);
    else yield* readVolumes(pair, findings);
  }
}

/**
 * Reads all pairs of `maskedSlices` at network size: `image` and `truth` are [edge, edge]. A pixel of `truth` is lung if
 * the resized mask is at least half.
 */
export async function readMaskedSlices(data: string, edge: number): Promise<SliceSamples> {
  const read: SliceSamples = { samples: [], leftOut: {}, findings: [] };
  for await (const { name, group, image, mask } of maskedSlices(data, read.findings)) {
    const truth = atEdge(mask, edge).map((value) => (value > 127 ? 1 : 0));
    read.samples.push({ name, group, image: atEdge(image, edge), truth });
  }
  return read;
}

/** Pairs the files below images/ with those below masks/. */
async function pairsOf(data: string): Promise<Pair[]> {
  const images = await filesBelow(join(data, 'images'));
  const masks = await filesBelow(join(data, 'masks'));
  const lacking = [...images.keys()].filter((name) => !masks.has(name));
  const spare = [...masks.keys()].filter((name) => !images.has(name));
  const unpaired = [
    ...(lacking.length > 0 ? [`${counted(lacking.length, 'image')} without mask: ${listed(lacking)}`] : []),
    ...(spare.length > 0 ? [`${counted(spare.length, 'mask')} without image: ${listed(spare)}`] : []),
  ];
  const remedy = `lay them out as ${PAIRS_LAYOUT}`;
  if (images.size === 0) throw new UserError('holds no image', { file: join(data, 'images'), remedy });
  if (unpaired.length > 0) throw new UserError(unpaired.join('; '), { file: data, remedy });
  return Array.from(images, ([name, image]) => {
    const mask = masks.get(name)!;
    if (image.kind !== mask.kind)
      throw new UserError(`is a ${image.kind}, its mask a ${mask.kind}`, { file: image.path, remedy });
    return { name, kind: image.kind, image: image.path, mask: mask.path };
  });
}

/** All slices and volumes below a folder, by their relative path without the file extension. */
async function filesBelow(root: string) {
  const found = new Map<string, Pick<Pair, 'kind'> & { path: string }>();
  const walk = async (below: string) => {
    const { folders, files, unusable } = await listFolder(join(root, below));
    if (unusable.length > 0)
      throw new UserError(`holds ${listed(unusable)}, a name that is not UTF-8`, {
        file: join(root, below),
        remedy: 'rename it',
      });
    for (const file of files.filter((name) => !isSystemFile(name))) {
      const path = join(root, below, file);
      const volume = /\.(?:mhd|nhdr)$/i.test(file) ? undefined : volumeOf(file)?.name;
      const slice = /\.(png|jpe?g)$/i.test(file) ? file.slice(0, -extname(file).length) : undefined;
      const name = volume ?? slice;
      if (name === undefined)
        throw new UserError(
          'is neither a PNG or JPEG slice nor a volume in one file (NIfTI, MetaImage or NRRD)',
          {
            file: path,
            remedy: 'move it elsewhere',
          },
        );
      const key = join(below, name);
      if (found.has(key))
        throw new UserError(`${found.get(key)!.path} has the same name`, {
          file: path,
          remedy: 'remove one of them',
        });
      found.set(key, { kind: volume === undefined ? 'slice' : 'volume', path });
    }
    for (const folder of folders) await walk(join(below, folder));
  };
  await walk('');
  return found;
}

async function readSlices({ name, image: imageFile, mask: maskFile }: Pair): Promise<MaskedSlice> {
  const image = await readSlice(imageFile);
  const mask = await readSlice(maskFile);
  requireSameSize({ image, mask, imageFile, maskFile });
  const limit = mask.data.some((value) => value > 1) ? 127 : 0;
  return {
    name,
    group: groupOf(name),
    image,
    mask: { ...mask, data: mask.data.map((value) => (value > limit ? 255 : 0)) },
  };
}

async function* readVolumes(
  { name, image: imageFile, mask: maskFile }: Pair,
  findings: Finding[],
): AsyncGenerator<MaskedSlice> {
  const scan = await readVolumeOf(volumeOf(imageFile)!.format, { path: imageFile });
  const masks = await readVolumeOf(volumeOf(maskFile)!.format, { path: maskFile }, 'hu'); // the numbers as they are
  const [slices, given] = [scan.slices.length, masks.slices.length];
  if (slices !== given) throw sizesDiffer(imageFile, `${slices} slices`, `${maskFile} has ${given}`);
  for (const { kind, message } of scan.findings) findings.push({ kind, path: imageFile, message });
  for (const [k, { height, width }] of scan.slices.entries()) {
    const mask = masks.slices[k]!;
    requireSameSize({ image: scan.slices[k]!, mask, imageFile, maskFile });
    yield {
      name: `${name} slice ${k}`,
      group: name,
      image: greyOf(scan.slices[k]!),
      mask: { height, width, data: Uint8Array.from(mask.data, (value) => (value > 0 ? 255 : 0)) },
    };
  }
}

/**
 * Reads a slice file as grey values.
 * @throws {UserError} naming the file, if it cannot be read.
 */
export async function readSlice(file: string): Promise<GreyImage> {
  try {
    return (await decodeSlice(await readRegularFile(file, { maxBytes: MAX_BYTES.slice }))).image;
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`cannot be read (${messageOf(error)})`, {
      file,
      remedy: 'replace or remove it',
      cause: error,
    });
  }
}

/** The folder of a slice, or else its name without the last number and the separator before it, if the rest ends in a digit. */
function groupOf(name: string): string {
  const folder = name.lastIndexOf('/');
  if (folder > 0) return name.slice(0, folder);
  return /^(.*\d)\D+\d+$/.exec(name)?.[1] ?? name;
}

type Size = Pick<GreyImage, 'height' | 'width'>;

function requireSameSize(pair: { image: Size; mask: Size; imageFile: string; maskFile: string }) {
  const { image, mask } = pair;
  if (image.height === mask.height && image.width === mask.width) return;
  throw sizesDiffer(
    pair.imageFile,
    `${image.height}×${image.width} pixels`,
    `${pair.maskFile} ${mask.height}×${mask.width}`,
  );
}

function sizesDiffer(file: string, size: string, other: string): UserError {
  return new UserError(`has ${size}, ${other}`, { file, remedy: 'a mask has the size of its image' });
}
