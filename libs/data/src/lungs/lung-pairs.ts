// Slices and their lung masks: DIR/images/X beside DIR/masks/X, JPEG or PNG slices and NIfTI volumes.
import { readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { messageOf, UserError } from '@ct-ensemble/core';
import { counted, listed, type Finding } from '../findings.ts';
import { isSystemFile, listFolder, niftiName } from '../layouts/listing.ts';
import { readNifti } from '../readers/nifti/nifti.ts';
import { atEdge, type SliceSamples } from './slice-samples.ts';
import { decodeSlice } from '../readers/images/slices.ts';
import { greyOf, type GreyImage } from '../scan.ts';

/** The layout in words, for errors. */
export const PAIRS_LAYOUT =
  'DIR/images/X.png (or .jpg) beside DIR/masks/X.png, or DIR/images/X.nii.gz beside DIR/masks/X.nii.gz; folders within both are kept';

interface Pair {
  /** Relative to images/, without the ending. */
  name: string;
  kind: 'slice' | 'volume';
  /** Absolute. */
  image: string;
  mask: string;
}

/** A slice at its own size. `mask` is 255 where there is lung, else 0. */
interface MaskedSlice {
  name: string;
  group: string;
  image: GreyImage;
  mask: GreyImage;
}

/**
 * Every pair, one by one. NIfTI images are Hounsfield units, made grey by `greyOfHU`; a volume whose values all lie in
 * 0 … 255 is taken for grey values, and that is told. Whatever is above 0 in a NIfTI mask is lung; in a mask of PNG, what is above 127, or
 * above 0 where it holds nothing above 1.
 *
 * Slices of a folder, or of one name but for its last number (`ID_0194` of `ID_0194_Z_0120.png`), are one group; so is a volume.
 *
 * @throws {UserError} naming the file: one without its other half, one that cannot be read, sizes that differ, no pair at all.
 */
export async function* maskedSlices(data: string, findings: Finding[] = []): AsyncGenerator<MaskedSlice> {
  for (const pair of await pairsOf(data)) {
    if (pair.kind === 'slice') yield await readSlices(pair);
    else yield* readVolumes(pair, findings);
  }
}

/** All pairs at network size; the mask is lung where at least half of what goes into a pixel is. */
export async function readMaskedSlices(data: string, edge: number): Promise<SliceSamples> {
  const read: SliceSamples = { samples: [], leftOut: {}, findings: [] };
  for await (const { name, group, image, mask } of maskedSlices(data, read.findings)) {
    const truth = atEdge(mask, edge).map((value) => (value > 127 ? 1 : 0));
    read.samples.push({ name, group, image: atEdge(image, edge), truth });
  }
  return read;
}

/** The files below images/, each with its mask. */
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

/** By name without ending. */
async function filesBelow(root: string) {
  const found = new Map<string, Pick<Pair, 'kind'> & { path: string }>();
  const walk = async (below: string) => {
    const { folders, files } = await listFolder(join(root, below));
    for (const file of files.filter((name) => !isSystemFile(name))) {
      const path = join(root, below, file);
      const volume = niftiName(file);
      const slice = /\.(png|jpe?g)$/i.test(file) ? file.slice(0, -extname(file).length) : undefined;
      const name = volume ?? slice;
      if (name === undefined)
        throw new UserError('is neither a PNG or JPEG slice nor a NIfTI volume', {
          file: path,
          remedy: 'move it elsewhere',
        });
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
  const scan = await readNifti(imageFile);
  const masks = await readNifti(maskFile);
  const [slices, given] = [scan.slices.length, masks.slices.length];
  if (slices !== given) throw sizesDiffer(imageFile, `${slices} slices`, `${maskFile} has ${given}`);
  for (const { kind, message } of scan.findings) findings.push({ kind, path: imageFile, message });
  const isGrey = scan.slices.every(({ data }) => data.every((value) => value >= 0 && value <= 255));
  if (isGrey) {
    const message = 'all values lie in 0 … 255: taken for grey values, not Hounsfield units';
    findings.push({ kind: 'grey-volume', path: imageFile, message });
  }
  for (const [k, { height, width, data }] of scan.slices.entries()) {
    const mask = masks.slices[k]!;
    requireSameSize({ image: scan.slices[k]!, mask, imageFile, maskFile });
    yield {
      name: `${name} slice ${k}`,
      group: name,
      image: isGrey ? { height, width, data: Uint8Array.from(data) } : greyOf(scan.slices[k]!),
      mask: { height, width, data: Uint8Array.from(mask.data, (value) => (value > 0 ? 255 : 0)) },
    };
  }
}

/** A slice file as grey values; a UserError names it where it cannot be read. */
export async function readSlice(file: string): Promise<GreyImage> {
  try {
    return (await decodeSlice(await readFile(file))).image;
  } catch (error) {
    throw new UserError(`cannot be read (${messageOf(error)})`, {
      file,
      remedy: 'replace or remove it',
      cause: error,
    });
  }
}

/** Its folder, else its name without the last number and what stands before that; a name that is a number is its own. */
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
