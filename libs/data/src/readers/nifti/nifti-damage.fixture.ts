// Damaged NIfTI files for tests, and how the reader takes them: a scan, or a UserError that names the file and a remedy.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { randomStream, UserError } from '@ct-ensemble/core';
import type { Scan } from '../../scan.ts';
import { costOf, damaged, DAMAGES } from '../../testing/damage.fixture.ts';
import { niftiFile } from './nifti.fixture.ts';
import { readNifti } from './nifti.ts';

const random = randomStream({ seed: 1, purpose: 'voxels' });
const voxels = Array.from({ length: 24 * 20 * 12 }, () => random.integer(1500) - 1024);
const soundFiles = [
  niftiFile({ dims: [24, 20, 12], values: voxels }),
  niftiFile({ dims: [24, 20, 12], values: voxels, type: 'float32', version: 2, littleEndian: false }),
  niftiFile({
    dims: [24, 20, 12],
    values: voxels,
    type: 'float64',
    qform: { quaternion: [0, 0, 1], qfac: -1 },
  }),
];

function requireReadable({ slices, spacing, findings }: Scan) {
  const { height, width } = slices[0]!;
  for (const slice of slices) {
    expect([slice.height, slice.width]).toEqual([height, width]);
    expect(slice.data.length).toBe(height * width);
  }
  for (const mm of Object.values(spacing ?? { unknown: 1 })) expect(mm).toBeGreaterThan(0);
  for (const { kind, message } of findings) expect(kind && message).toBeTruthy();
}

/** Reads one file. Fails the test unless the result is a sound scan or a UserError with file and remedy. */
export async function readOrRefuse(path: string): Promise<'read' | 'refused'> {
  try {
    requireReadable(await readNifti({ path }, 'hu'));
    return 'read';
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect([error.file, error.remedy === undefined]).toEqual([path, false]);
    return 'refused';
  }
}

/**
 * Reads `count` damaged files: not compressed, damaged and then compressed, compressed and then damaged, in turn. Every
 * 90 of them have every kind of damage in every packing. Returns how many were read and refused, and the cost.
 */
export async function countDamagedReads(folder: string, count: number) {
  const outcomes = { read: 0, refused: 0 };
  const cost = await costOf(
    (function* () {
      for (let seed = 0; seed < count; seed++) {
        const kind = DAMAGES[seed % DAMAGES.length]!;
        const file = soundFiles[(seed % 5) % soundFiles.length]!;
        const packing = Math.floor(seed / DAMAGES.length) % 3;
        yield async () => {
          const bytes =
            packing === 0
              ? damaged(file, { seed, kind })
              : packing === 1
                ? gzipSync(damaged(file, { seed, kind }))
                : damaged(gzipSync(file), { seed, kind });
          const path = join(folder, packing === 0 ? 'ct.nii' : 'ct.nii.gz');
          await writeFile(path, bytes);
          outcomes[await readOrRefuse(path)]++;
        };
      }
    })(),
  );
  return { ...outcomes, ...cost };
}

/** Reads copies of a file with one byte of the header changed each, at every `step`-th byte. Returns the cost. */
export function readWithHeaderByteChanged(folder: string, step: number) {
  return costOf(
    (function* () {
      for (let at = 0; at < 352; at += step)
        yield async () => {
          const bytes = Buffer.from(soundFiles[0]!);
          bytes[at]! ^= at % 2 === 0 ? 0xff : 0x80;
          await writeFile(join(folder, 'ct.nii'), bytes);
          await readOrRefuse(join(folder, 'ct.nii'));
        };
    })(),
  );
}

/** A file whose header claims these dimensions, with `body` zero voxels. */
export const claiming = (dims: number[], body: number) =>
  niftiFile({ dims, values: Array<number>(body).fill(0) });

/** Files of at most a few kilobytes that claim gigabytes, by name. */
export const filesThatClaimGigabytes = (): Record<string, Uint8Array> => ({
  '4 GB claimed.nii': claiming([4096, 4096, 127], 100),
  '4 GB claimed.nii.gz': gzipSync(claiming([4096, 4096, 127], 100)),
  '134 GB claimed.nii.gz': gzipSync(claiming([4096, 4096, 4000], 100)),
});

/** Every file of the folder must be refused; returns the cost. */
export function refuseAll(folder: string, names: readonly string[]) {
  return costOf(
    names.map(
      (name) => async () => expect([name, await readOrRefuse(join(folder, name))]).toEqual([name, 'refused']),
    ),
  );
}
