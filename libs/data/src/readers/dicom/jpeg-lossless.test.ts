// Lossless JPEG against the samples it was made of, by an encoder that GDCM confirms (see encoders.fixture.ts).
import { jpegLossless, type LosslessOptions, type Picture } from './encoders.fixture.ts';
import { decodeJpegLossless } from './jpeg-lossless.ts';

const [rows, columns] = [9, 7];
const picture = (bits: number): Picture => ({
  rows,
  columns,
  bits,
  samples: Array.from({ length: rows * columns }, (_, i) => (i * i * 7919 + 13 * i) % 2 ** bits),
});
const decode = (bits: number, options: LosslessOptions = {}) => [
  ...decodeJpegLossless(jpegLossless(picture(bits), options)),
];

test.each([1, 2, 3, 4, 5, 6, 7])('predictor %d, with 8, 12 and 16 bits', (predictor) => {
  for (const bits of [8, 12, 16]) expect(decode(bits, { predictor })).toEqual(picture(bits).samples);
});

test('with a point transform the lowest bits are zero and the others exact', () => {
  for (const predictor of [1, 4, 7])
    expect(decode(12, { predictor, pointTransform: 2 })).toEqual(
      picture(12).samples.map((sample) => sample & ~3),
    );
});

test('with restart markers after every row, every second row and all rows', () => {
  for (const restartRows of [1, 2, 9])
    for (const predictor of [1, 2, 6])
      expect(decode(16, { predictor, restartRows, pointTransform: 1 })).toEqual(
        picture(16).samples.map((sample) => sample & ~1),
      );
});

test('what is cut short or damaged is refused, also if the end marker is in place', () => {
  const sound = jpegLossless(picture(12), { restartRows: 3 });
  for (const length of [0.5, 0.7, 0.9].map((part) => Math.floor(sound.length * part)))
    expect(() => decodeJpegLossless(Uint8Array.of(...sound.subarray(0, length), 0xff, 0xd9))).toThrow(
      /cut short|restart marker is missing/,
    );
  const restart = sound.findIndex((byte, i) => byte === 0xff && sound[i + 1] === 0xd0);
  expect(() => decodeJpegLossless(sound.filter((_, i) => i !== restart && i !== restart + 1))).toThrow(
    /cut short|restart marker is missing|not in its Huffman table/,
  );
});

test('kinds that are not supported are refused by name', () => {
  const changed = (marker: number, offset: number, value: number) => {
    const bytes = jpegLossless(picture(12), { restartRows: 1 });
    const at = bytes.findIndex((byte, i) => byte === 0xff && bytes[i + 1] === marker) + 4;
    bytes[at + offset] = value;
    return () => decodeJpegLossless(bytes);
  };
  expect(changed(0xdd, 1, 6)).toThrow(/restart interval 6, which is not a number of whole rows of 7/);
  expect(changed(0xc3, 5, 3)).toThrow(/several components/);
  expect(changed(0xda, 3, 0)).toThrow(/predictor 0/);
  expect(changed(0xda, 5, 12)).toThrow(/12 bits with point transform 12/);
  expect(changed(0xda, 2, 0x10)).toThrow(/without its Huffman table/);
});
