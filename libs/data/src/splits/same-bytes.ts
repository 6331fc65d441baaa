// Finds scans that are made of the very same slice files, reading as little as possible.
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { openRegularFile, readRegularFile } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';
import { addToGroup } from '../lists.ts';

interface Sliced {
  slices: readonly string[];
}

/**
 * Groups of two or more scans with byte-identical slices in the same order. Scans are distinguished by the number of
 * slices, then by file sizes, then by some bytes of one slice; only those still alike are read. Uncompressed volumes of one
 * shape all have the same size, and reading them whole would take as long as preparing them.
 */
export async function scansOfSameBytes<T extends Sliced>(scans: readonly T[]): Promise<T[][]> {
  let groups: T[][] = [scans.filter((scan) => scan.slices.length > 0)];
  for (const trait of [countOf, firstSizeOf, sizesOf, sampleOf, hashOf]) groups = await split(groups, trait);
  return groups;
}

/** Splits each group by a trait and keeps the groups of two or more. */
async function split<T extends Sliced>(groups: T[][], trait: (scan: T) => Promise<string>): Promise<T[][]> {
  const parts: T[][] = [];
  for (const group of groups) {
    const values = await mapConcurrent(group, 16, trait);
    const byValue = new Map<string, T[]>();
    for (const [i, scan] of group.entries()) addToGroup(byValue, values[i]!, scan);
    for (const part of byValue.values()) if (part.length > 1) parts.push(part);
  }
  return parts;
}

const countOf = async (scan: Sliced) => String(scan.slices.length);
const firstSizeOf = async (scan: Sliced) => sizeOf(scan.slices[0]!);
const sizesOf = async (scan: Sliced) => (await mapConcurrent(scan.slices.slice(1), 4, sizeOf)).join(' ');

/** Bytes that are compared before whole files are. */
const SAMPLE = 1 << 14;

/** The bytes in the middle of the slice in the middle. */
async function sampleOf({ slices }: Sliced): Promise<string> {
  const file = slices[slices.length >> 1]!;
  try {
    const { handle, stats } = await openRegularFile(file);
    try {
      const from = Math.max(0, Math.floor((stats.size - SAMPLE) / 2));
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(SAMPLE), 0, SAMPLE, from);
      return createHash('sha256').update(buffer.subarray(0, bytesRead)).digest('base64');
    } finally {
      await handle.close();
    }
  } catch {
    return file; // A file that cannot be read equals no other.
  }
}

async function hashOf(scan: Sliced) {
  const hash = createHash('sha256');
  for (const slice of scan.slices) {
    try {
      hash.update(await readRegularFile(slice));
    } catch {
      return slice; // A file that cannot be read equals no other.
    }
  }
  return hash.digest('hex');
}

async function sizeOf(file: string) {
  try {
    return String((await stat(file)).size);
  } catch {
    return file;
  }
}
