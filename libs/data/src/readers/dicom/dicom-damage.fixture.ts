// Damaged DICOM files for tests, and how the reader takes them: a scan, or a UserError that names the file and a remedy.
import { deflateRawSync } from 'node:zlib';
import { UserError } from '@ct-ensemble/core';
import sharp from 'sharp';
import { cpuTime, damaged, DAMAGES } from '../../testing/damage.fixture.ts';
import {
  BIG_ENDIAN,
  DEFLATED,
  dicomBytes,
  EXPLICIT,
  IMPLICIT,
  rleOf,
  sliceElements,
  words,
} from './dicom.fixture.ts';
import { readDicomSeries } from './dicom.ts';

const [rows, columns] = [12, 10];
const values = Array.from({ length: rows * columns }, (_, i) => (i * i) % 2000);
const native = { Rows: rows, Columns: columns, PixelData: words(...values) };
const jpeg = await sharp(Uint8Array.from(values), { raw: { width: columns, height: rows, channels: 1 } })
  .toColourspace('b-w')
  .jpeg()
  .toBuffer();
const eightBits = { BitsAllocated: 8, BitsStored: 8, HighBit: 7, PixelRepresentation: 0 };

/** One sound file per transfer syntax: uncompressed in four ways, RLE, JPEG baseline. */
export const soundFiles = [
  ...[EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED].map((transferSyntax) =>
    dicomBytes(sliceElements(1, native), { transferSyntax }),
  ),
  dicomBytes(sliceElements(1, { Rows: 2, Columns: 3, PixelData: [rleOf(values.slice(0, 6))] }), {
    transferSyntax: '1.2.840.10008.1.2.5',
  }),
  dicomBytes(sliceElements(1, { ...native, ...eightBits, PixelData: [new Uint8Array(jpeg)] }), {
    transferSyntax: '1.2.840.10008.1.2.4.50',
  }),
];

/** A sound file of 2 × 3 samples. */
export const soundSlice = dicomBytes(sliceElements(0));

/** Two damaged copies: cut off before the byte, and with the byte inverted. */
export function damagedAt(sound: Uint8Array, at: number): Uint8Array[] {
  const changed = sound.slice();
  changed[at] = changed[at]! ^ 0xff;
  return [sound.slice(0, at), changed];
}

/** Reads one file. Fails the test unless the result is a scan of whole slices or a UserError with file and remedy. */
export async function readOrRefuse(bytes: Uint8Array): Promise<'read' | 'refused'> {
  try {
    const [scan] = await readDicomSeries([{ path: 'damaged.dcm', bytes }]);
    for (const { height, width, data } of scan!.slices) expect(data).toHaveLength(height * width);
    return 'read';
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    expect([error.file, error.remedy === undefined]).toEqual(['damaged.dcm', false]);
    return 'refused';
  }
}

/**
 * Reads `count` damaged files; every 36 of them have every kind of damage in every transfer syntax of `soundFiles` once.
 * Returns how many were read and refused, the slowest in ms of CPU time, and the growth of memory in MB.
 */
export async function countDamagedReads(count: number) {
  const outcomes = { read: 0, refused: 0 };
  let slowest = 0;
  const before = process.memoryUsage.rss();
  for (let seed = 0; seed < count; seed++) {
    const kind = DAMAGES[Math.floor(seed / soundFiles.length) % DAMAGES.length]!;
    const bytes = damaged(soundFiles[seed % soundFiles.length]!, { seed, kind });
    const started = cpuTime();
    outcomes[await readOrRefuse(bytes)]++;
    slowest = Math.max(slowest, cpuTime() - started);
  }
  return { ...outcomes, slowest, megabytes: (process.memoryUsage.rss() - before) / 2 ** 20 };
}

/** A deflated file whose data set is so many zeros must be refused; returns the CPU time it took in ms. */
export async function refuseDeflatedZeros(zeros: number): Promise<number> {
  const whole = dicomBytes(sliceElements(1, native), { transferSyntax: DEFLATED });
  const start = Buffer.from(whole).indexOf(DEFLATED) + DEFLATED.length;
  const bytes = new Uint8Array(
    Buffer.concat([whole.subarray(0, start), deflateRawSync(new Uint8Array(zeros))]),
  );
  const started = cpuTime();
  await expect(readDicomSeries([{ path: 'bomb.dcm', bytes }])).rejects.toThrow(
    /bomb\.dcm: is damaged: .* out of order/,
  );
  return cpuTime() - started;
}
