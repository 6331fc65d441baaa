// Readers of foreign files under damage: an error that says why or a readable result; bounded time and memory.
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip, gzipSync } from 'node:zlib';
import { randomStream, UserError } from '@ct-ensemble/core';
import sharp from 'sharp';
import { damaged, DAMAGES } from '../../testing/damage.fixture.ts';
import { niftiFile } from './nifti.fixture.ts';
import { readNifti } from './nifti.ts';
import type { Scan } from '../../scan.ts';
import { decodeSlice } from '../images/slices.ts';

const MB = 2 ** 20;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'damage-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs bodies one after the other; the longest in seconds and the growth of memory in MB. */
async function costOf(bodies: Iterable<() => Promise<void>>) {
  const before = process.memoryUsage.rss();
  let seconds = 0;
  let peak = before;
  const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage.rss())), 5);
  for (const body of bodies) {
    const start = performance.now();
    await body();
    seconds = Math.max(seconds, (performance.now() - start) / 1000);
    peak = Math.max(peak, process.memoryUsage.rss());
  }
  clearInterval(watch);
  return { seconds, megabytes: (peak - before) / MB };
}

const random = randomStream({ seed: 1, purpose: 'voxels' });
const voxels = Array.from({ length: 24 * 20 * 12 }, () => random.integer(1500) - 1024);
const sound = [
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

/** What comes of reading: the scan is checked, the error must be one for the user and name the file. */
async function readOrRefuse(path: string): Promise<'read' | 'refused'> {
  try {
    requireReadable(await readNifti(path));
    return 'read';
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect([error.file, error.remedy === undefined]).toEqual([path, false]);
    return 'refused';
  }
}

test('500 damaged NIfTI files', async () => {
  const outcomes = { read: 0, refused: 0 };
  const cost = await costOf(
    (function* () {
      for (let seed = 0; seed < 500; seed++) {
        const kind = DAMAGES[seed % DAMAGES.length]!;
        const file = sound[(seed % 5) % sound.length]!;
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
  expect(outcomes.read).toBeGreaterThan(50);
  expect(outcomes.refused).toBeGreaterThan(200);
  expect(cost.seconds).toBeLessThan(2);
  expect(cost.megabytes).toBeLessThan(300);
});

test('every byte of the header overwritten, one at a time', async () => {
  const file = sound[0]!;
  const cost = await costOf(
    (function* () {
      for (let at = 0; at < 352; at++)
        yield async () => {
          const bytes = Buffer.from(file);
          bytes[at]! ^= at % 2 === 0 ? 0xff : 0x80;
          await writeFile(join(folder, 'ct.nii'), bytes);
          await readOrRefuse(join(folder, 'ct.nii'));
        };
    })(),
  );
  expect(cost.seconds).toBeLessThan(2);
  expect(cost.megabytes).toBeLessThan(300);
});

test('small files that claim or hold far more', async () => {
  const claiming = (dims: number[], body: number) => niftiFile({ dims, values: Array<number>(body).fill(0) });
  const zeros = async (name: string, header: Buffer, size: number) => {
    async function* body() {
      yield header;
      for (let done = 0; done < size; done += MB) yield Buffer.alloc(MB);
      await Promise.resolve();
    }
    await pipeline(body, createGzip({ level: 6 }), createWriteStream(join(folder, name)));
  };
  await zeros('zeros behind a small header.nii.gz', claiming([24, 20, 12], 0), 200 * MB);
  await zeros('zeros in place of a header.nii.gz', Buffer.alloc(0), 50 * MB);
  const farExtension = claiming([24, 20, 12], 0);
  farExtension.writeFloatLE(40 * MB, 108);
  await zeros('zeros for an extension.nii.gz', farExtension, 50 * MB);
  await zeros('2 GB claimed, 60 MB of zeros.nii.gz', claiming([1024, 1024, 1024], 0), 60 * MB);
  await writeFile(join(folder, '4 GB claimed.nii'), claiming([4096, 4096, 127], 100));
  await writeFile(join(folder, '4 GB claimed.nii.gz'), gzipSync(claiming([4096, 4096, 127], 100)));
  await writeFile(join(folder, '134 GB claimed.nii.gz'), gzipSync(claiming([4096, 4096, 4000], 100)));
  const noise = Buffer.from(Array.from({ length: MB + MB / 8 }, () => random.integer(256)));
  const large = Buffer.concat([claiming([1024, 512, 1024], 0), noise]);
  await writeFile(join(folder, '1 GB claimed, 1 MB held.nii.gz'), gzipSync(large));
  const names = [
    '1 GB claimed, 1 MB held.nii.gz',
    'zeros behind a small header.nii.gz',
    'zeros in place of a header.nii.gz',
    'zeros for an extension.nii.gz',
    '2 GB claimed, 60 MB of zeros.nii.gz',
    '4 GB claimed.nii',
    '4 GB claimed.nii.gz',
    '134 GB claimed.nii.gz',
  ];
  const cost = await costOf(
    names.map(
      (name) => async () => expect([name, await readOrRefuse(join(folder, name))]).toEqual([name, 'refused']),
    ),
  );
  expect(cost.seconds).toBeLessThan(2);
  expect(cost.megabytes).toBeLessThan(300);
});

test('500 damaged JPEG and PNG files', async () => {
  const grey = Uint8Array.from({ length: 96 * 80 }, () => random.integer(256));
  const image = sharp(grey, { raw: { width: 96, height: 80, channels: 1 } });
  const files = [
    await image.clone().toColourspace('b-w').jpeg().toBuffer(),
    await image.clone().toColourspace('b-w').png().toBuffer(),
    await image.clone().jpeg({ progressive: true }).toBuffer(),
    await image.clone().png({ palette: true }).toBuffer(),
  ];
  const outcomes = { read: 0, refused: 0 };
  let largest = 0;
  const cost = await costOf(
    (function* () {
      for (let seed = 0; seed < 500; seed++)
        yield async () => {
          const file = files[Math.floor(seed / DAMAGES.length) % files.length]!;
          const bytes = damaged(file, { seed, kind: DAMAGES[seed % DAMAGES.length]! });
          try {
            const { width, height, data } = (await decodeSlice(bytes)).image;
            expect(data.length).toBe(width * height);
            largest = Math.max(largest, data.length);
            outcomes.read++;
          } catch (error) {
            expect((error as Error).message).toMatch(/\w{3}/);
            outcomes.refused++;
          }
        };
    })(),
  );
  expect(outcomes.read).toBeGreaterThan(20);
  expect(outcomes.refused).toBeGreaterThan(200);
  expect(largest).toBeLessThan(2 ** 28); // sharp's limit of pixels
  expect(cost.seconds).toBeLessThan(2);
  expect(cost.megabytes).toBeLessThan(300);
});
