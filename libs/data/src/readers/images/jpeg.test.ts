import sharp from 'sharp';
import { decodeGreyJpeg } from './jpeg.ts';

const [width, height] = [53, 37];
const wave = Uint8Array.from(
  { length: width * height },
  (_, i) => 128 + 100 * Math.sin(i / 7) * Math.cos(i / width),
);
const image = () => sharp(wave, { raw: { width, height, channels: 1 } });

test.each([
  ['baseline', 90, false],
  ['progressive', 90, true],
  ['coarse', 20, false],
])('the pixels of sharp: %s', async (_, quality, progressive) => {
  const bytes = await image().toColourspace('b-w').jpeg({ quality, progressive }).toBuffer();
  const expected = await sharp(bytes).toColourspace('b-w').raw().toBuffer();
  const decoded = await decodeGreyJpeg(bytes);
  expect([decoded!.height, decoded!.width]).toEqual([height, width]);
  expect(Buffer.compare(decoded!.data, expected)).toBe(0);
});

test('what is not one whole grey JPEG is left to sharp; the next one is decoded all the same', async () => {
  const bytes = await image().toColourspace('b-w').jpeg().toBuffer();
  const others = [
    await image().toColourspace('srgb').jpeg().toBuffer(),
    await image().png().toBuffer(),
    bytes.subarray(0, bytes.length - 200),
    bytes.subarray(0, 12),
    new Uint8Array(0),
  ];
  for (const other of others) {
    expect(await decodeGreyJpeg(other)).toBeNull();
    expect(await decodeGreyJpeg(bytes)).not.toBeNull();
  }
});
