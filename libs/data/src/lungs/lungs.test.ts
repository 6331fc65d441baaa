// Lungs drawn by hand: the mask is known.
import { isEnoughLung, lungMask, lungShare, thresholdMask } from './lungs.ts';
import { greyOfHU } from '../scan.ts';

/** `.` air, `-` lung, `#` tissue. */
const drawn = [
  '....................',
  '..################..',
  '..#----######----#..',
  '..#----######-##-#..',
  '..#----##-###-##-#..',
  '..#----######----#..',
  '..################..',
  '....................',
];
const [height, width] = [drawn.length, drawn[0]!.length];
const HU = { '.': -1000, '-': -850, '#': 40 } as Record<string, number>;
const values = [...drawn.join('')].map((sign) => greyOfHU(HU[sign]!));
const expected = [
  '00000000000000000000',
  '00000000000000000000',
  '00011110000001111000',
  '00011110000001111000',
  '00011110010001111000',
  '00011110000001111000',
  '00000000000000000000',
  '00000000000000000000',
];
const asRows = (mask: Uint8Array) =>
  Array.from({ length: height }, (_, y) => mask.slice(y * width, (y + 1) * width).join(''));

const [air, lung, tissue] = [-1000, -850, 40].map(greyOfHU) as [number, number, number];
const pixelsOf = (mask: Uint8Array) => mask.reduce((sum, value) => sum + value, 0);

test('air around the body is none, holes are filled', () => {
  expect(asRows(lungMask({ height, width, data: Uint8Array.from(values) }))).toEqual(expected);
});

test('pieces of less than a thousandth of the image do not count', () => {
  const [edge, data] = [100, new Uint8Array(100 * 100).fill(tissue)];
  const square = (from: number, size: number) => {
    for (let y = from; y < from + size; y++) data.fill(lung, y * edge + from, y * edge + from + size);
  };
  square(10, 3); // 9 of 10,000 pixels
  square(50, 4);
  expect(pixelsOf(lungMask({ height: edge, width: edge, data }))).toBe(16);
});

test('gas as dark as the air around the body is no lung', () => {
  const gas = values.map((value, i) => (value === lung && i % width < 9 ? greyOfHU(-990) : value));
  const left = expected.map((row) => `${'0'.repeat(9)}${row.slice(9)}`);
  expect(asRows(lungMask({ height, width, data: Uint8Array.from(gas) }))).toEqual(left);
});

test('in an image cropped to the chest a lung may touch the border, and be black', () => {
  const [edge, data] = [40, new Uint8Array(1600).fill(tissue)];
  for (let y = 10; y < 30; y++) {
    data.fill(air, y * edge + 4, y * edge + 17);
    data.fill(air, y * edge + 22, y * edge + 37);
  }
  data.fill(air, 20 * edge + 37, 21 * edge); // to the border, one pixel wide
  data.fill(air, 0, 6); // air in a corner
  expect(pixelsOf(lungMask({ height: edge, width: edge, data }))).toBe(20 * 13 + 20 * 15 + 3);
});

test('an image of air alone and one of tissue alone have no lung', () => {
  for (const value of [air, tissue]) {
    expect(pixelsOf(lungMask({ height: 5, width: 7, data: new Uint8Array(35).fill(value) }))).toBe(0);
  }
});

test('large slices are measured on means of n × n pixels', () => {
  const grown = (factor: number) => {
    const scale = 16 * factor;
    const [rows, columns] = [height * scale, width * scale];
    const data = new Uint8Array(rows * columns);
    for (const [i, value] of values.entries())
      for (let y = Math.floor(i / width) * scale, end = y + scale; y < end; y++) {
        const from = y * columns + (i % width) * scale;
        data.fill(value, from, from + scale);
      }
    return { height: rows, width: columns, data };
  };
  const share = expected.join('').replaceAll('0', '').length / (height * width);
  for (const factor of [1, 2, 3]) expect(lungShare(grown(factor))).toBeCloseTo(share, 10);
  const mask = thresholdMask(grown(4)); // 512 × 1280 pixels
  expect([mask.height, mask.width]).toEqual([256, 640]);
  expect(pixelsOf(mask.data) / mask.data.length).toBeCloseTo(share, 10);
  expect([isEnoughLung(0.01), isEnoughLung(0.0099)]).toEqual([true, false]);
});
