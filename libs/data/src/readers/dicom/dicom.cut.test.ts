// Files that were cut short: no compression, icon or encoding may hide the loss.
import { dicomBytes, IMPLICIT, rleOf, sliceElements, words, type SliceElements } from './dicom.fixture.ts';
import {
  htJpeg2000,
  jpeg2000,
  jpegBaseline,
  jpegLossless,
  jpegLs,
  type Picture,
} from './encoders.fixture.ts';
import { readDicomSeries } from './dicom.ts';

const [rows, columns] = [48, 40];
const smooth = (most: number): Picture['samples'] =>
  Array.from({ length: rows * columns }, (_, i) => {
    const [y, x] = [Math.floor(i / columns), i % columns];
    return Math.round((most * (Math.sin(x / 5) + Math.cos(y / 7) + 2 + ((i * 7919) % 13) / 13)) / 5);
  });
const picture: Picture = { rows, columns, samples: smooth(4095), bits: 12 };
const eight: Picture = { rows, columns, samples: smooth(255), bits: 8 };
const twelveBits = { BitsStored: 12, HighBit: 11, PixelRepresentation: 0, RescaleIntercept: '0' };
const eightBits = {
  BitsAllocated: 8,
  BitsStored: 8,
  HighBit: 7,
  PixelRepresentation: 0,
  RescaleIntercept: '0',
};

/** By name: the transfer syntax, the compressed frame, and the largest error of its compression. */
const frames: Record<string, { syntax: string; frame: Uint8Array; of: Picture; loss: number }> = {
  RLE: { syntax: '1.2.840.10008.1.2.5', frame: rleOf(picture.samples), of: picture, loss: 0 },
  'JPEG Baseline': {
    syntax: '1.2.840.10008.1.2.4.50',
    frame: await jpegBaseline(eight),
    of: eight,
    loss: 30,
  },
  'JPEG Lossless': { syntax: '1.2.840.10008.1.2.4.70', frame: jpegLossless(picture), of: picture, loss: 0 },
  'JPEG-LS': { syntax: '1.2.840.10008.1.2.4.80', frame: await jpegLs(picture), of: picture, loss: 0 },
  'JPEG 2000': { syntax: '1.2.840.10008.1.2.4.90', frame: await jpeg2000(picture), of: picture, loss: 0 },
  'High-Throughput JPEG 2000': {
    syntax: '1.2.840.10008.1.2.4.201',
    frame: await htJpeg2000(picture),
    of: picture,
    loss: 0,
  },
};

const fileOf = (frame: Uint8Array, syntax: string, { bits }: Picture) =>
  dicomBytes(
    sliceElements(0, {
      Rows: rows,
      Columns: columns,
      ...(bits === 8 ? eightBits : twelveBits),
      PixelData: [frame.length % 2 === 0 ? frame : Uint8Array.of(...frame, 0)],
    }),
    { transferSyntax: syntax },
  );
const read = (bytes: Uint8Array) => readDicomSeries([{ path: 'a.dcm', bytes }]);

describe.each(Object.entries(frames))('%s', (_, { syntax, frame, of, loss }) => {
  test('the whole file has its samples', async () => {
    const [scan] = await read(fileOf(frame, syntax, of));
    const values = scan!.slices[0]!.data;
    expect(Math.max(...of.samples.map((sample, i) => Math.abs(sample - values[i]!)))).toBeLessThanOrEqual(
      loss,
    );
    expect(scan!.findings).toEqual([]);
  });

  test.each([0.3, 0.6, 0.8, 0.95])('the file cut at %d of its length is refused', async (part) => {
    const whole = fileOf(frame, syntax, of);
    await expect(read(whole.slice(0, whole.length * part))).rejects.toThrow(/a\.dcm: .*cut short/);
  });

  test.each([0.3, 0.6, 0.8, 0.95])('a frame cut at %d within a sound file is refused', async (part) => {
    const cut = fileOf(frame.slice(0, frame.length * part), syntax, of);
    await expect(read(cut)).rejects.toThrow(
      /a\.dcm: field PixelData \(7FE0,0010\) (.*cut short|does not hold 2 RLE)/,
    );
  });

  test.each([0.3, 0.6, 0.8, 0.95])('so is a frame cut at %d whose end marker was put back', async (part) => {
    const cut = fileOf(Uint8Array.of(...frame.slice(0, frame.length * part), 0xff, 0xd9), syntax, of);
    await expect(read(cut)).rejects.toThrow(
      /a\.dcm: field PixelData .*(cut short|damaged|cannot be decoded|RLE segment)/,
    );
  });

  test('a file without the delimiter after the frame is refused', async () => {
    const whole = fileOf(frame, syntax, of);
    await expect(read(whole.slice(0, -8))).rejects.toThrow(/does not end with a sequence delimiter/);
  });
});

describe('a file whose icon comes before its image', () => {
  const samples = smooth(2000);
  /** IconImageSequence (0088,0200) of one item with 2 × 3 samples; undefined lengths. */
  const icon = (implicit: boolean) => {
    const pixels = implicit
      ? Buffer.from('e07f10000c000000', 'hex')
      : Buffer.from('e07f10004f5700000c000000', 'hex');
    const start = implicit
      ? Buffer.from('88000002ffffffff', 'hex')
      : Buffer.from('8800000253510000ffffffff', 'hex');
    const item = Buffer.from('feff00e0ffffffff', 'hex');
    const end = Buffer.from('feff0de000000000feffdde000000000', 'hex');
    return Buffer.concat([start, item, pixels, words(9, 9, 9, 9, 9, 9), end]);
  };
  const elements: SliceElements = {
    Rows: rows,
    Columns: columns,
    RescaleIntercept: '0',
    PixelData: words(...samples),
  };
  const explicit = dicomBytes(sliceElements(0, elements), { raw: { '00880200': icon(false) } });
  const implicit = dicomBytes(sliceElements(0, elements), {
    transferSyntax: IMPLICIT,
    raw: { '00880200': icon(true) },
  });

  test.each([
    ['explicit', explicit],
    ['implicit', implicit],
  ])('%s: the image is read, and a cut in it is found', async (_, whole) => {
    const [scan] = await read(whole);
    expect([...scan!.slices[0]!.data]).toEqual(samples);
    for (const part of [0.6, 0.8, 0.95])
      await expect(read(whole.slice(0, whole.length * part))).rejects.toThrow(
        /is cut short: field PixelData \(7FE0,0010\) has \d+ of its 3840 bytes/,
      );
  });
});

test('RLE segments of other lengths than rows × columns are refused', async () => {
  const header = (low: number) => {
    const bytes = Buffer.alloc(64);
    [2, 64, low].forEach((value, i) => bytes.writeUInt32LE(value, 4 * i));
    return bytes;
  };
  const file = (high: number[], low: number[]) => {
    const frame = Buffer.concat([header(64 + high.length), Buffer.from([...high, ...low])]);
    return dicomBytes(sliceElements(0, { PixelData: [frame] }), { transferSyntax: '1.2.840.10008.1.2.5' });
  };
  const sound = [0xfb, 1]; // six times 1
  const [scan] = await read(file(sound, [5, 1, 2, 3, 4, 5, 6, 128]));
  expect([...scan!.slices[0]!.data]).toEqual([1, 2, 3, 4, 5, 6].map((low) => 256 + low - 1000));
  await expect(read(file(sound, [4, 1, 2, 3, 4, 5]))).rejects.toThrow(/RLE segment of 5 bytes instead of 6/);
  await expect(read(file(sound, [5, 1, 2, 3, 4, 5]))).rejects.toThrow(/RLE segment of 0 bytes instead of 6/);
  await expect(read(file(sound, [6, 1, 2, 3, 4, 5, 6, 7]))).rejects.toThrow(
    /RLE segment of more than 6 bytes/,
  );
  await expect(read(file(sound, [5, 1, 2, 3, 4, 5, 6, 0, 7]))).rejects.toThrow(
    /RLE segment of more than 6 bytes/,
  );
});

test('bytes behind the images are reported', async () => {
  const more = dicomBytes(sliceElements(0, { PixelData: words(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12) }));
  const twice = [...jpegLossless({ rows: 2, columns: 3, samples: [1, 2, 3, 4, 5, 6], bits: 12 })];
  const coded = dicomBytes(sliceElements(0, { PixelData: [Uint8Array.from([...twice, ...twice])] }), {
    transferSyntax: '1.2.840.10008.1.2.4.70',
  });
  for (const bytes of [more, coded]) {
    const [scan] = await read(bytes);
    expect([...scan!.slices[0]!.data]).toEqual([1, 2, 3, 4, 5, 6].map((value) => value - 1000));
    expect(scan!.findings).toMatchObject([{ kind: 'surplus-pixel-data' }]);
  }
});
