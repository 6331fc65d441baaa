import sharp from 'sharp';
import { MAX_JPEG_SCANS, requireFewJpegScans } from './jpeg-scans.ts';
import { progressiveJpeg } from './progressive-jpeg.fixture.ts';
import { decodeSlice } from './slices.ts';

const size = { width: 1024, height: 1024 };
const refusal = /^the JPEG has more than 100 scans; it would take too long to decode$/;

test('a JPEG of as many scans as allowed is decoded, one of one more is not', async () => {
  const allowed = await decodeSlice(progressiveJpeg({ ...size, scans: MAX_JPEG_SCANS }));
  expect(allowed.image).toMatchObject(size);
  expect(allowed.image.data.every((value) => value === 128)).toBe(true);
  await expect(decodeSlice(progressiveJpeg({ ...size, scans: MAX_JPEG_SCANS + 1 }))).rejects.toThrow(refusal);
});

test('ten thousand scans of 4096 × 4096 pixels are refused without decoding', () => {
  const bomb = progressiveJpeg({ width: 4096, height: 4096, scans: 10_000 });
  expect(bomb.length).toBeLessThan(500_000);
  expect(() => requireFewJpegScans(bomb)).toThrow(refusal);
});

test('segments hide no scans and count as none: fill bytes, comments that hold markers, a thumbnail', () => {
  const many = progressiveJpeg({ ...size, scans: MAX_JPEG_SCANS + 1 });
  const start = many.subarray(0, 2);
  const comment = Buffer.concat([Buffer.of(0xff, 0xff, 0xff, 0xfe, 0, 6), Buffer.of(0xff, 0xd9, 0xff, 0xd9)]);
  expect(() => requireFewJpegScans(Buffer.concat([start, comment, many.subarray(2)]))).toThrow(refusal);
  const few = progressiveJpeg({ ...size, scans: 2 });
  const thumbnail = Buffer.concat([Buffer.of(0xff, 0xe1, 0xff, 0xff), Buffer.alloc(65533, many)]);
  expect(() => requireFewJpegScans(Buffer.concat([start, thumbnail, few.subarray(2)]))).not.toThrow();
});

test.each(['jpeg', 'png'] as const)('an ordinary %s, whole or cut anywhere, passes', async (format) => {
  const noise = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * i * 31) >> 3);
  const image = sharp(noise, { raw: { width: 64, height: 64, channels: 3 } });
  const bytes = await image.toFormat(format, { progressive: true }).toBuffer();
  for (let length = 0; length <= bytes.length; length += 7) requireFewJpegScans(bytes.subarray(0, length));
});
