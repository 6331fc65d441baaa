// What the readers of volumes with a text header share: the beginning of the file as text, and the file of the voxels.
import { dirname, isAbsolute, join, normalize } from 'node:path';
import { readRegularFile } from '@ct-ensemble/core';
import { openBytes, type ByteSource, type Compression } from './byte-source.ts';
import type { VolumeFile } from './volume-file.ts';
import { bytesOf, type Fail, type VoxelLayout } from './voxels.ts';

/** A header may have at most this many bytes; real ones have a few thousand, with the DICOM fields that some writers copy. */
export const MAX_HEADER = 2 ** 20;

/** A file of a volume in memory; `data` is the file of the voxels where the header names another file. */
export interface TextVolume extends VolumeFile {
  data?: VolumeFile;
}

/** The path of the voxels' file beside a header: a file name, or a path below the header's folder. */
export function besideHeader(header: string, name: string): string | null {
  const path = normalize(name.replaceAll('\\', '/'));
  const leavesFolder = isAbsolute(path) || path === '..' || path.startsWith('../') || /^[a-z]:/i.test(path);
  return leavesFolder || path.includes('\0') ? null : join(dirname(header), path);
}

/** The bytes of the header's file. */
export async function headerBytes({ path, bytes }: VolumeFile): Promise<Uint8Array> {
  return bytes ?? readRegularFile(path);
}

export interface DataPlace {
  /** The voxels' file; null if they are in the header's file. */
  name: string | null;
  /** Where the voxels begin in the file of the header. */
  start: number;
  /** Bytes to leave out before the (compressed) voxels; −1: the voxels are at the end of the file. */
  skip: number;
  /** Text lines to leave out before them. */
  lines?: number;
  compression: Compression;
}

/** Opens the voxels, at their first byte. */
export async function openVoxels(
  file: TextVolume,
  {
    place,
    layout,
    field,
    fail,
  }: { place: DataPlace; layout: Pick<VoxelLayout, 'dims' | 'type'>; field: string; fail: Fail },
): Promise<ByteSource> {
  let bytes: Uint8Array;
  if (place.name === null) bytes = (await headerBytes(file)).subarray(place.start);
  else {
    const path = besideHeader(file.path, place.name);
    if (path === null)
      return fail(
        `header, field ${field}: ${JSON.stringify(place.name)} is not in the folder of the header`,
        'put the voxels beside the header and name them without a folder',
      );
    bytes = file.data?.bytes ?? (await dataBytes(path, { field, name: place.name, fail }));
  }
  for (let i = 0; i < (place.lines ?? 0); i++) bytes = bytes.subarray(bytes.indexOf(10) + 1);
  const size = layout.dims[0] * layout.dims[1] * layout.dims[2] * bytesOf(layout.type);
  if (place.skip === -1 && place.compression !== 'none')
    fail('header: compressed voxels cannot be found from the end of the file');
  const skip = place.skip === -1 ? bytes.length - size : place.skip;
  if (!(skip >= 0 && skip <= bytes.length))
    fail(
      `is truncated: its voxels take ${size} bytes, of which it holds ${bytes.length}`,
      'copy or convert it again',
    );
  return openBytes(bytes.subarray(skip), { compression: place.compression });
}

async function dataBytes(path: string, { field, name, fail }: { field: string; name: string; fail: Fail }) {
  try {
    return await readRegularFile(path);
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') throw error;
    return fail(
      `header, field ${field}: there is no file ${JSON.stringify(name)} beside it`,
      'copy the voxels too, with their name',
    );
  }
}

/** The numbers of a header's field, separated by blanks; fails unless there are `count` of them, all finite. */
export function numbersOf(
  text: string,
  { field, count, fail }: { field: string; count: number; fail: Fail },
): number[] {
  const numbers = text
    .trim()
    .split(/[\s,]+/)
    .map(Number);
  if (numbers.length !== count || !numbers.every(Number.isFinite))
    fail(`header, field ${field}: ${JSON.stringify(text)} is not ${count} numbers`);
  return numbers;
}
