// The DICOM reader under damage: a scan, or an error for the user that names the file; bounded time and memory.
import { deflateRawSync } from 'node:zlib';
import { UserError } from '@ct-ensemble/core';
import sharp from 'sharp';
import { damaged, DAMAGES } from '../../testing/damage.fixture.ts';
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

const sound = [
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

test('the sound ones are read', async () => {
  for (const bytes of sound) {
    const [scan] = await readDicomSeries([{ path: 'sound', bytes }]);
    expect(scan!.slices).toHaveLength(1);
  }
});

test('megabytes of zeros, deflated to a few kilobytes, are refused at once', async () => {
  const whole = dicomBytes(sliceElements(1, native), { transferSyntax: DEFLATED });
  const start = Buffer.from(whole).indexOf('1.2.840.10008.1.2.1.99') + 22;
  const head = whole.subarray(0, start);
  const bytes = new Uint8Array(Buffer.concat([head, deflateRawSync(new Uint8Array(200 << 20))]));
  const started = performance.now();
  await expect(readDicomSeries([{ path: 'bomb.dcm', bytes }])).rejects.toThrow(
    /bomb\.dcm: is damaged: .* out of order/,
  );
  expect(performance.now() - started).toBeLessThan(5000);
});

test('1000 damaged files', async () => {
  const outcomes = { read: 0, refused: 0 };
  let slowest = 0;
  const before = process.memoryUsage.rss();
  for (let seed = 0; seed < 1000; seed++) {
    const bytes = damaged(sound[seed % sound.length]!, {
      seed,
      kind: DAMAGES[Math.floor(seed / sound.length) % DAMAGES.length]!,
    });
    const started = performance.now();
    try {
      const [scan] = await readDicomSeries([{ path: 'damaged.dcm', bytes }]);
      for (const { height, width, data } of scan!.slices) expect(data).toHaveLength(height * width);
      outcomes.read++;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      expect([error.file, error.remedy === undefined]).toEqual(['damaged.dcm', false]);
      outcomes.refused++;
    }
    slowest = Math.max(slowest, performance.now() - started);
  }
  expect(outcomes.read).toBeGreaterThan(100); // much damage lies in what nobody reads
  expect(outcomes.refused).toBeGreaterThan(100);
  expect(slowest).toBeLessThan(2000);
  expect((process.memoryUsage.rss() - before) / 2 ** 20).toBeLessThan(500);
});
