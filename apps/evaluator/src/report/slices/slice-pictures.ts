// Small pictures of scans for the report: four slices of a prepared volume, from apex to base.
import { UserError } from '@ct-ensemble/core';
import type { Volume, VolumeStore } from '@ct-ensemble/data';
import sharp from 'sharp';
import type { Picture } from '../page/page.ts';

/** Pixels of a slice's edge in the picture. */
const edge = 112;
const across = 2;

export interface PictureOptions {
  store: Pick<VolumeStore, 'read'>;
  /** Content keys of volumes by the keys of scans. */
  volumes: ReadonlyMap<string, string>;
  /** Slices of the first view; the others are not shown. */
  depth: number;
}

/** Pictures of these scans, and the keys of those whose volumes cannot be read. */
export async function slicePictures(
  keys: readonly string[],
  { store, volumes, depth }: PictureOptions,
): Promise<{ pictures: Map<string, Picture>; missing: string[] }> {
  const pictures = new Map<string, Picture>();
  const missing: string[] = [];
  for (const key of new Set(keys)) {
    const volume = await readVolume(store, volumes.get(key));
    if (volume === null) missing.push(key);
    else pictures.set(key, await pictureOf(volume, Math.min(depth, volume.depth)));
  }
  return { pictures, missing };
}

async function readVolume(store: Pick<VolumeStore, 'read'>, key: string | undefined): Promise<Volume | null> {
  if (key === undefined) return null;
  try {
    return await store.read(key);
  } catch (error) {
    if (error instanceof UserError) return null;
    throw error;
  }
}

async function pictureOf({ height, width, data }: Volume, depth: number): Promise<Picture> {
  const count = across ** 2;
  const slices = Array.from({ length: count }, (_, i) => Math.floor(((2 * i + 1) * depth) / (2 * count)));
  const tiles = await Promise.all(
    slices.map((slice) =>
      sharp(data.subarray(slice * height * width, (slice + 1) * height * width), {
        raw: { width, height, channels: 1 },
      })
        .resize(edge, edge, { fit: 'contain', background: '#000' })
        .toColourspace('b-w')
        .raw()
        .toBuffer(),
    ),
  );
  const size = edge * across;
  const pixels = new Uint8Array(size * size);
  tiles.forEach((tile, t) => {
    const [left, top] = [(t % across) * edge, Math.floor(t / across) * edge];
    for (let y = 0; y < edge; y++)
      pixels.set(tile.subarray(y * edge, (y + 1) * edge), (top + y) * size + left);
  });
  const bytes = await sharp(pixels, { raw: { width: size, height: size, channels: 1 } })
    .jpeg({ quality: 72 })
    .toBuffer();
  const shown = [...new Set(slices)].map((slice) => slice + 1);
  const numbers =
    shown.length === 1
      ? `slice ${shown[0]!}`
      : `slices ${shown.slice(0, -1).join(', ')} and ${shown.at(-1)!}`;
  return { mediaType: 'image/jpeg', bytes, width: size, height: size, shows: `${numbers} of ${depth}` };
}
