// Finds scans that are made of the very same slice files, reading as little as possible.
import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { readRegularFile } from '@ct-ensemble/core';
import { mapConcurrent } from '../concurrent.ts';

interface Sliced {
  slices: readonly string[];
}

/**
 * Groups of two or more scans with byte-identical slices in the same order. Scans are distinguished by the number of
 * slices, then by file sizes; only those still alike are read.
 */
export async function scansOfSameBytes<T extends Sliced>(scans: readonly T[]): Promise<T[][]> {
  let groups: T[][] = [scans.filter((scan) => scan.slices.length > 0)];
  for (const trait of [countOf, firstSizeOf, sizesOf, hashOf]) groups = await split(groups, trait);
  return groups;
}

/** Splits each group by a trait and keeps the groups of two or more. */
async function split<T extends Sliced>(groups: T[][], trait: (scan: T) => Promise<string>): Promise<T[][]> {
  const parts: T[][] = [];
  for (const group of groups) {
    const values = await mapConcurrent(group, 16, trait);
    const byValue = new Map<string, T[]>();
    for (const [i, scan] of group.entries())
      byValue.set(values[i]!, [...(byValue.get(values[i]!) ?? []), scan]);
    parts.push(...[...byValue.values()].filter((part) => part.length > 1));
  }
  return parts;
}

const countOf = async (scan: Sliced) => String(scan.slices.length);
const firstSizeOf = async (scan: Sliced) => sizeOf(scan.slices[0]!);
const sizesOf = async (scan: Sliced) => (await mapConcurrent(scan.slices, 4, sizeOf)).join(' ');

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
