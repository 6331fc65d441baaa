// What the headers of volumes and DICOM files claim: a small file can claim gigabytes, so that the claim is checked before it is decoded.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { constants, gunzipSync } from 'node:zlib';
import { readRegularFile } from '@ct-ensemble/core';
import { claimedVoxels } from '@ct-ensemble/data';
import { beginning, megabytes } from './body.ts';
import { tooLarge } from './problems.ts';

/** Images are decoded one by one, and those that are kept have a bound of their own. */
const IMAGE = /\.(?:jpe?g|png)$/i;
const VOLUME = /\.(?:nii(?:\.gz)?|mh[ad]|nrrd|nhdr)$/i;

/** Text headers have at most this many bytes: that is as far as the readers look. */
const MOST_HEADER = 2 ** 20;

/** So many bytes of a gzip file are unpacked to see a header: 17 MB at most. */
const GZIP_BEGINNING = 2 ** 14;

/** Bytes of memory that a voxel takes at least, as a Hounsfield unit. */
const LEAST_BYTES = 2;
const MOST_BYTES = 8;

/**
 * @throws {RequestProblem} 413 if a volume file in the folder, or all DICOM files together, claim more bytes of memory than the limit.
 */
export async function requireModestClaims(folder: string, limit: number): Promise<void> {
  let series = 0;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || IMAGE.test(entry.name)) continue;
    const file = join(entry.parentPath, entry.name);
    const isVolume = VOLUME.test(entry.name);
    if (!isVolume) series += LEAST_BYTES * claimedVoxels(await readRegularFile(file));
    if ((isVolume ? await claimOf(file) : series) <= limit) continue;
    const what = isVolume ? 'the header of a volume claims' : 'the headers of the DICOM files claim';
    throw tooLarge('volume-size', `${what} more than ${megabytes(limit)} of voxels`, {
      field: 'header',
      remedy: 'check the header, or have --max-unpacked-mb raised',
    });
  }
}

/** Bytes that the voxels take by the header; 0 if it has no header that a reader would accept. */
async function claimOf(file: string): Promise<number> {
  const bytes = await beginning(file, MOST_HEADER);
  const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
  const plain = isGzip ? gunzippedBeginning(bytes) : bytes;
  // A header behind thousands of empty blocks: no program writes this, and the claim would stay unseen.
  if (isGzip && plain.length < 352 && bytes.length > GZIP_BEGINNING) return Infinity;
  return Math.max(claimOfNifti(plain), claimOfText(bytes));
}

/** The first bytes of a gzip file, of which more is not unpacked. */
function gunzippedBeginning(bytes: Buffer): Buffer {
  try {
    return gunzipSync(bytes.subarray(0, GZIP_BEGINNING), { finishFlush: constants.Z_SYNC_FLUSH });
  } catch {
    return Buffer.alloc(0);
  }
}

function claimOfNifti(bytes: Buffer): number {
  if (bytes.length < 348) return 0;
  const both = [bytes.readInt32LE(0), bytes.readInt32BE(0)];
  const little = both[0] === 348 || both[0] === 540;
  const size = both.find((value) => value === 348 || value === 540);
  if (size === undefined) return 0;
  const int16 = (at: number) => (little ? bytes.readInt16LE(at) : bytes.readInt16BE(at));
  const int64 = (at: number) => Number(little ? bytes.readBigInt64LE(at) : bytes.readBigInt64BE(at));
  const isFirst = size === 348;
  const dims = [1, 2, 3, 4, 5, 6, 7].map((i) => (isFirst ? int16(40 + 2 * i) : int64(16 + 8 * i)));
  const rank = Math.max(3, Math.min(7, isFirst ? int16(40) : int64(16)));
  const offset = isFirst ? (little ? bytes.readFloatLE(108) : bytes.readFloatBE(108)) : int64(168);
  const width = Math.max(LEAST_BYTES, int16(isFirst ? 72 : 12) / 8);
  return Math.max(0, offset || 0) + width * product(dims.slice(0, rank));
}

/** The greatest of the claims in a text header: MetaImage's `DimSize = 512 512 100`, NRRD's `sizes: 512 512 100`. */
function claimOfText(bytes: Buffer): number {
  const text = bytes.toString('latin1');
  const sizes = [...text.matchAll(/^[ \t]*(?:DimSize[ \t]*=|sizes[ \t]*:=?)([^\r\n]*)/gim)];
  const width = widthOf(text);
  return Math.max(
    0,
    ...sizes.map(([, numbers]) => width * product(numbers!.trim().split(/\s+/).map(Number))),
  );
}

/** Bytes of a voxel by a text header. */
function widthOf(text: string): number {
  const type = /^[ \t]*(?:ElementType[ \t]*=|type[ \t]*:=?)[ \t]*([^\r\n]*)/im.exec(text)?.[1] ?? '';
  if (/char|int8|uint8|short|int16/i.test(type)) return LEAST_BYTES;
  if (/float|^(?:MET_)?u?int\b|^(?:signed |unsigned )?int|int32/i.test(type)) return 4;
  return MOST_BYTES;
}

const product = (numbers: readonly number[]) =>
  numbers.reduce((all, number) => all * (number > 0 ? number : 1), 1);
