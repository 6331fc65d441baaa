// Lungs drawn by hand: the mask is known.
import { lungArea, lungMask } from './lungs.ts';
import { greyOfHU } from './scan.ts';

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
const values = [...drawn.join('')].map((sign) => HU[sign]!);
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

test('air around the body is none, holes are filled; in Hounsfield units and in grey', () => {
  expect(asRows(lungMask({ height, width, data: Int16Array.from(values) }))).toEqual(expected);
  expect(asRows(lungMask({ height, width, data: Uint8Array.from(values, greyOfHU) }))).toEqual(expected);
});

test('pieces of less than a thousandth of the image do not count', () => {
  const [edge, data] = [100, new Int16Array(100 * 100).fill(40)];
  const square = (from: number, size: number) => {
    for (let y = from; y < from + size; y++) data.fill(-850, y * edge + from, y * edge + from + size);
  };
  square(10, 3); // 9 of 10,000 pixels
  square(50, 4);
  expect(lungArea({ height: edge, width: edge, data })).toBe(16);
});

test('gas as dark as the air around the body is no lung', () => {
  const gas = values.map((value, i) => (value === -850 && i % width < 9 ? -990 : value));
  const left = expected.map((row) => `${'0'.repeat(9)}${row.slice(9)}`);
  expect(asRows(lungMask({ height, width, data: Int16Array.from(gas) }))).toEqual(left);
});

test('in an image cropped to the chest a lung may touch the border, and be black', () => {
  const [edge, data] = [40, new Int16Array(1600).fill(40)];
  for (let y = 10; y < 30; y++) {
    data.fill(-1000, y * edge + 4, y * edge + 17);
    data.fill(-1000, y * edge + 22, y * edge + 37);
  }
  data.fill(-1000, 20 * edge + 37, 21 * edge); // to the border, one pixel wide
  data.fill(-1000, 0, 6); // air in a corner
  expect(lungArea({ height: edge, width: edge, data })).toBe(20 * 13 + 20 * 15 + 3);
});

test('an image of air alone and one of tissue alone have no lung', () => {
  for (const value of [-1000, 40]) {
    expect(lungArea({ height: 5, width: 7, data: new Int16Array(35).fill(value) })).toBe(0);
  }
});
