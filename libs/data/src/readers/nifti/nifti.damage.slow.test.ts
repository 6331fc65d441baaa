// The NIfTI reader under much damage: a scan, or an error that says why; bounded time and memory.
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip, gzipSync } from 'node:zlib';
import { randomStream } from '@ct-ensemble/core';
import { costOf } from '../../testing/damage.fixture.ts';
import {
  claiming,
  countDamagedReads,
  filesThatClaimGigabytes,
  readWithHeaderByteChanged,
  refuseAll,
} from './nifti-damage.fixture.ts';
import { readNifti } from './nifti.ts';

const MB = 2 ** 20;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'damage-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('500 damaged NIfTI files', async () => {
  const { read, refused, seconds, megabytes } = await countDamagedReads(folder, 500);
  expect(read).toBeGreaterThan(50);
  expect(refused).toBeGreaterThan(200);
  expect(seconds).toBeLessThan(2);
  expect(megabytes).toBeLessThan(300);
});

test('every byte of the header changed, one at a time', async () => {
  const cost = await readWithHeaderByteChanged(folder, 1);
  expect(cost.seconds).toBeLessThan(2);
  expect(cost.megabytes).toBeLessThan(300);
});

/** Writes a gzipped file: the header, then so many zeros. */
async function zeros(name: string, header: Buffer, size: number) {
  async function* body() {
    yield header;
    for (let done = 0; done < size; done += MB) yield Buffer.alloc(MB);
    await Promise.resolve();
  }
  await pipeline(body, createGzip({ level: 6 }), createWriteStream(join(folder, name)));
}

test('200 MB of zeros behind the voxels are not read', async () => {
  await zeros('zeros behind the voxels.nii.gz', claiming([24, 20, 12], 0), 200 * MB);
  const path = join(folder, 'zeros behind the voxels.nii.gz');
  const cost = await costOf([
    async () =>
      expect((await readNifti({ path }, 'hu')).findings).toContainEqual(
        expect.objectContaining({ kind: 'trailing-bytes' }),
      ),
  ]);
  expect(cost.seconds).toBeLessThan(2);
  expect(cost.megabytes).toBeLessThan(100);
});

test('40 MB of zeros before the voxels are skipped', async () => {
  const farExtension = claiming([24, 20, 12], 0);
  farExtension.writeFloatLE(40 * MB, 108);
  await zeros('zeros for an extension.nii.gz', farExtension, 50 * MB);
  const path = join(folder, 'zeros for an extension.nii.gz');
  const cost = await costOf([async () => expect((await readNifti({ path }, 'hu')).slices).toHaveLength(12)]);
  expect(cost.seconds).toBeLessThan(2);
  expect(cost.megabytes).toBeLessThan(100);
});

test('small files that claim or hold far more are refused', async () => {
  await zeros('zeros in place of a header.nii.gz', Buffer.alloc(0), 50 * MB);
  await zeros('2 GB claimed, 60 MB of zeros.nii.gz', claiming([1024, 1024, 1024], 0), 60 * MB);
  const random = randomStream({ seed: 1, purpose: 'voxels' });
  const noise = Buffer.from(Array.from({ length: MB + MB / 8 }, () => random.integer(256)));
  const large = Buffer.concat([claiming([1024, 512, 1024], 0), noise]);
  await writeFile(join(folder, '1 GB claimed, 1 MB held.nii.gz'), gzipSync(large));
  const tiny = filesThatClaimGigabytes();
  for (const [name, bytes] of Object.entries(tiny)) await writeFile(join(folder, name), bytes);
  const cost = await refuseAll(folder, [
    '1 GB claimed, 1 MB held.nii.gz',
    'zeros in place of a header.nii.gz',
    '2 GB claimed, 60 MB of zeros.nii.gz',
    ...Object.keys(tiny),
  ]);
  expect(cost.seconds).toBeLessThan(2);
  expect(cost.megabytes).toBeLessThan(300);
});
