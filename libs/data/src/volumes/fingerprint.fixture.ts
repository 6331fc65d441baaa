// Fingerprints for tests: random ones, and those of real scans and of altered copies.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { randomStream } from '@ct-ensemble/core';
import sharp from 'sharp';
import type { ScanEntry } from '../scan-entry.ts';
import { temporaryFolder, writeTree } from '../testing/dataset.fixture.ts';
import { fingerprintOf } from './fingerprint.ts';
import { prepareVolume } from './preparation.ts';

type Scan = Pick<ScanEntry, 'key' | 'format' | 'slices'>;

/** `count` random fingerprints, the last of which equals another one. */
export function randomFingerprints(count: number): { fingerprint: string }[] {
  const random = randomStream({ seed: 1, purpose: 'fingerprints' });
  const word = () => random.bits().toString(16).padStart(8, '0');
  const scans = Array.from({ length: count - 1 }, () => ({
    fingerprint: Array.from({ length: 121 }, word).join(''),
  }));
  return [...scans, scans[7]!];
}

/** The fingerprint of the scan's volume of 64 slices of 64×64. */
export async function fingerprintOfScan(scan: Scan): Promise<string> {
  return fingerprintOf((await prepareVolume(scan, { depth: 64, height: 64, width: 64 })).volume);
}

/** A copy in reverse order, without one end slice, at three quarters of the size, compressed again. */
export async function alteredCopy(scan: Scan): Promise<Scan> {
  const folder = await temporaryFolder();
  const copies = scan.slices
    .toReversed()
    .slice(1)
    .map(async (file, k) => {
      const { width } = await sharp(file).metadata();
      const bytes = await sharp(await readFile(file))
        .resize(Math.round(width * 0.75))
        .jpeg({ quality: 60 })
        .toBuffer();
      return [`${k}.jpg`, new Uint8Array(bytes)] as const;
    });
  await writeTree(Object.fromEntries(await Promise.all(copies)), folder);
  return { ...scan, key: 'copy', slices: copies.map((_, k) => join(folder, `${k}.jpg`)) };
}
