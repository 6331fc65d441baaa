import sharp from 'sharp';
import { png } from '../../testing/dataset.fixture.ts';
import { countDamagedSlices } from './slices-damage.fixture.ts';
import { decodeSlice } from './slices.ts';

const grey8 = Uint8Array.from({ length: 64 * 48 }, (_, i) => (i * 7 + Math.floor(i / 64) * 13) % 256);
const raw = (channels: 1 | 2 | 3 | 4) => ({ raw: { width: 64, height: 48, channels } });
const spread = (map: (value: number, i: number) => number[]) => Uint8Array.from([...grey8].flatMap(map));

const furthest = (a: Uint8Array, b: Uint8Array) => Math.max(...a.map((v, i) => Math.abs(v - b[i]!)));

describe('decodeSlice', () => {
  test.each([
    ['grey', 1, grey8],
    ['grey with alpha', 2, spread((v, i) => [v, i % 256])],
    ['colour of equal channels', 3, spread((v) => [v, v, v])],
    ['the same with alpha, transparent too', 4, spread((v, i) => [v, v, v, i % 3 === 0 ? 0 : 255])],
  ] as const)('PNG, %s: the grey values themselves', async (_, channels, values) => {
    const { image, loss } = await decodeSlice(await png({ width: 64, height: 48, channels, values }));
    expect([image.width, image.height, loss]).toEqual([64, 48, null]);
    expect(Buffer.from(image.data).equals(Buffer.from(grey8))).toBe(true);
  });

  test('colour by the luma of ITU-R 601', async () => {
    // Pillow: Image.convert('L') of pure red, green, blue, white, black and (10, 20, 30).
    const values = [255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 10, 20, 30];
    const { image } = await decodeSlice(await png({ width: 6, height: 1, channels: 3, values }));
    expect([...image.data]).toEqual([76, 150, 29, 255, 0, 18]);
  });

  test('a palette and one bit per pixel', async () => {
    const values = Uint8Array.from({ length: 64 * 48 }, (_, i) => (i % 2) * 255);
    const palette = await sharp(Uint8Array.from([...values].flatMap((v) => [v, v, v])), raw(3))
      .png({ palette: true, colours: 2 })
      .toBuffer();
    expect(await sharp(palette).metadata()).toMatchObject({ isPalette: true, bitsPerSample: 1 });
    expect(Buffer.from((await decodeSlice(palette)).image.data).equals(Buffer.from(values))).toBe(true);
  });

  test('16 bits, grey and colour: v / 257, rounded', async () => {
    const values = [0, 128, 129, 257, 1000, 32768, 65406, 65407, 65535];
    const expected = [0, 0, 1, 1, 4, 128, 254, 255, 255]; // 1000 / 257 = 3.89, 65406 / 257 = 254.498
    const grey = sharp(Uint16Array.from(values), { raw: { width: 9, height: 1, channels: 1 } });
    const decoded = await decodeSlice(await grey.toColourspace('grey16').png().toBuffer());
    expect([[...decoded.image.data], decoded.loss]).toEqual([expected, '16 bits scaled to 8']);
    const colour = sharp(Uint16Array.from(values.flatMap((v) => [v, v, v])), {
      raw: { width: 9, height: 1, channels: 3 },
    });
    expect([...(await decodeSlice(await colour.toColourspace('rgb16').png().toBuffer())).image.data]).toEqual(
      expected,
    );
  });

  test('JPEG of grey, of colour and of CMYK, near the source', async () => {
    const smooth = Uint8Array.from({ length: 64 * 48 }, (_, i) => 40 + (i % 64) + 2 * Math.floor(i / 64));
    const colour = sharp(Uint8Array.from([...smooth].flatMap((v) => [v, v, v])), raw(3));
    for (const file of [
      await sharp(smooth, raw(1)).toColourspace('b-w').jpeg({ quality: 95 }).toBuffer(),
      await colour.clone().jpeg({ quality: 95 }).toBuffer(),
      await colour.clone().jpeg({ quality: 95, progressive: true }).toBuffer(),
    ]) {
      const { image, loss } = await decodeSlice(file);
      expect(furthest(image.data, smooth)).toBeLessThanOrEqual(3);
      expect(loss).toBeNull();
    }
    const cmyk = await decodeSlice(
      await colour.clone().toColourspace('cmyk').jpeg({ quality: 95 }).toBuffer(),
    );
    expect(furthest(cmyk.image.data, smooth)).toBeLessThanOrEqual(30);
    expect(cmyk.loss).toMatch(/CMYK/);
  });

  test('EXIF orientation and ICC profile change nothing', async () => {
    const tagged = await sharp(grey8, raw(1))
      .toColourspace('b-w')
      .withMetadata({ orientation: 6 })
      .png()
      .toBuffer();
    const { image } = await decodeSlice(tagged);
    expect([image.width, image.height]).toEqual([64, 48]);
    const profiled = await sharp(
      spread((v) => [v, v, v]),
      raw(3),
    )
      .withIccProfile('p3')
      .png()
      .toBuffer();
    const stored = (await sharp(profiled, { ignoreIcc: true }).raw().toBuffer()).filter(
      (_, i) => i % 3 === 0,
    );
    expect((await sharp(profiled).metadata()).icc).toBeDefined();
    expect(Buffer.from((await decodeSlice(profiled)).image.data).equals(stored)).toBe(true);
  });

  test('what is cut short or corrupt is refused, in whatever way', async () => {
    const jpeg = await sharp(grey8, raw(1)).toColourspace('b-w').jpeg().toBuffer();
    const progressive = await sharp(grey8, raw(1))
      .toColourspace('b-w')
      .jpeg({ progressive: true })
      .toBuffer();
    const file = Buffer.from(await png({ width: 64, height: 48, channels: 1, values: grey8 }));
    const edited = (bytes: Buffer, edit: (copy: Buffer) => void) => {
      const copy = Buffer.from(bytes);
      edit(copy);
      return copy;
    };
    const bad: [string, Buffer][] = [
      ['empty', Buffer.alloc(0)],
      ['text', Buffer.from('<html>404</html>')],
      ['half a JPEG', jpeg.subarray(0, jpeg.length >> 1)],
      ['half a progressive JPEG', progressive.subarray(0, progressive.length >> 1)],
      ['a JPEG without its last two bytes', jpeg.subarray(0, -2)],
      ['a JPEG with a second half of zeros', edited(jpeg, (copy) => copy.fill(0, copy.length >> 1))],
      [
        'a JPEG with garbage inside',
        edited(jpeg, (copy) => copy.fill('\xff\x01', copy.length >> 1, copy.length - 100, 'latin1')),
      ],
      ['half a PNG', file.subarray(0, file.length >> 1)],
      ['a PNG with a flipped byte', edited(file, (copy) => (copy[copy.length >> 1]! ^= 0xff))],
    ];
    for (const [name, bytes] of bad) {
      const outcome = await decodeSlice(bytes).then(
        () => 'decoded',
        () => 'refused',
      );
      expect([name, outcome]).toEqual([name, 'refused']);
    }
    await expect(decodeSlice(jpeg)).resolves.toBeDefined();
    await expect(decodeSlice(progressive)).resolves.toBeDefined();
    await expect(decodeSlice(Buffer.concat([jpeg, Buffer.from('\n\0\0')]))).resolves.toBeDefined();
  });
});

test('a picture far larger than any slice is refused before it is unpacked', async () => {
  const large = await sharp({ create: { width: 5000, height: 3400, channels: 3, background: 'black' } })
    .toColourspace('b-w')
    .png()
    .toBuffer();
  await expect(decodeSlice(large)).rejects.toThrow('is 5000×3400 pixels; a slice may have at most 16777216');
});

test('damaged JPEG and PNG files: two per kind of damage and format', async () => {
  const { read, refused, seconds } = await countDamagedSlices(48);
  expect(read).toBeGreaterThan(1);
  expect(refused).toBeGreaterThan(15);
  expect(seconds).toBeLessThan(2);
});
