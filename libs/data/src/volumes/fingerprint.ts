// Fingerprints of volumes, a few thousand bits each: similar for copies of a scan that were compressed again, resized,
// windowed differently, reversed or stripped of some slices; different for different scans.
import { countOnes, nearFingerprints } from './near-fingerprints.ts';
import type { Volume } from './volume.ts';

/** Blocks along each side of a slice; if the volume is smaller, every pixel is a block. */
const GRID = 32;

/**
 * A difference hash of two images: the mean and the variance of the volume along its depth, both averaged to 32×32
 * blocks. Each bit says whether the value rises from a block to its right or lower neighbour. The order and the number of
 * slices have little influence. Returns hexadecimal words of 32 bits; 3844 bits for volumes of at least 32×32 pixels.
 */
export function fingerprintOf(volume: Volume): string {
  const height = Math.min(GRID, volume.height);
  const width = Math.min(GRID, volume.width);
  const images = alongDepth(volume, { height, width });
  const bits: boolean[] = [];
  for (const image of images)
    for (let y = 0; y + 1 < height; y++)
      for (let x = 0; x + 1 < width; x++) {
        const at = y * width + x;
        bits.push(image[at + 1]! > image[at]!, image[at + width]! > image[at]!);
      }
  const words = new Uint32Array(Math.ceil(bits.length / 32));
  for (const [i, bit] of bits.entries()) if (bit) words[i >>> 5]! |= 1 << (i & 31);
  return [...words].map((word) => word.toString(16).padStart(8, '0')).join('');
}

/** Mean and variance of the block averages along the depth, each C order [grid.height, grid.width]. */
function alongDepth(volume: Volume, grid: { height: number; width: number }): [Float64Array, Float64Array] {
  const { depth, height, width, data } = volume;
  const blocks = grid.height * grid.width;
  const rows = borders(height, grid.height);
  const columns = borders(width, grid.width);
  const mean = new Float64Array(blocks);
  const variance = new Float64Array(blocks);
  for (let z = 0; z < depth; z++)
    for (let k = 0, j = 0; j < grid.height; j++)
      for (let i = 0; i < grid.width; i++, k++) {
        const [top, bottom, left, right] = [rows[j]!, rows[j + 1]!, columns[i]!, columns[i + 1]!];
        let sum = 0;
        for (let y = top; y < bottom; y++) {
          const start = (z * height + y) * width;
          for (let at = start + left; at < start + right; at++) sum += data[at]!;
        }
        const average = sum / ((bottom - top) * (right - left));
        mean[k]! += average;
        variance[k]! += average * average;
      }
  for (let k = 0; k < blocks; k++) {
    mean[k]! /= depth;
    variance[k] = variance[k]! / depth - mean[k]! ** 2;
  }
  return [mean, variance];
}

/** [blocks + 1], the first element of every block of an axis, then the end of the axis. */
const borders = (size: number, blocks: number) =>
  Array.from({ length: blocks + 1 }, (_, i) => Math.floor((i * size) / blocks));

export interface Fingerprinted {
  fingerprint: string;
}

/** Two scans with similar fingerprints. */
export interface NearEqualPair<T> {
  first: T;
  second: T;
  /** 0: equal fingerprints; 1: no common bit. */
  distance: number;
}

/**
 * Scans whose fingerprints are closer than this count as nearly equal. The distance is the number of bits set in only one
 * of the two, divided by the number of bits set in either.
 */
export const NEAR_EQUAL = 0.3;

/**
 * All pairs closer than `threshold` (default `NEAR_EQUAL`), the closest first. Fingerprints of different lengths, and
 * those of volumes of a single grey value, are never close. Every fingerprint is compared with every other one of its length.
 * @throws the reason of `signal` after it is aborted.
 */
export async function nearEqualPairs<T extends Fingerprinted>(
  scans: readonly T[],
  { threshold = NEAR_EQUAL, signal }: { threshold?: number; signal?: AbortSignal | undefined } = {},
): Promise<NearEqualPair<T>[]> {
  const byLength = new Map<number, { hashes: Uint32Array[]; numbers: number[] }>();
  for (const [number, { fingerprint }] of scans.entries()) {
    const words = wordsOf(fingerprint);
    if (words.every((word) => word === 0)) continue; // of a single grey value
    const same = byLength.get(words.length) ?? { hashes: [], numbers: [] };
    same.hashes.push(words);
    same.numbers.push(number);
    byLength.set(words.length, same);
  }
  const found: { first: number; second: number; distance: number }[] = [];
  for (const { hashes, numbers } of byLength.values()) {
    const ones = hashes.map((words) => words.reduce((sum, word) => sum + countOnes(word), 0));
    // From differing / union < threshold with union = (both + differing) / 2.
    for (const { first, second, differing } of await nearFingerprints(hashes, { threshold, signal })) {
      const both = ones[first]! + ones[second]!;
      const distance = (2 * differing) / (both + differing);
      found.push({ first: numbers[first]!, second: numbers[second]!, distance });
    }
  }
  found.sort((a, b) => a.distance - b.distance || a.first - b.first || a.second - b.second);
  return found.map(({ first, second, distance }) => ({
    first: scans[first]!,
    second: scans[second]!,
    distance,
  }));
}

const wordsOf = (fingerprint: string) =>
  Uint32Array.from(fingerprint.match(/.{8}/g) ?? [], (word) => Number.parseInt(word, 16));
