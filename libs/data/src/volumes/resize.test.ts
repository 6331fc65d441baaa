import { createHash } from 'node:crypto';
import { resizeBilinear } from './resize.ts';

// Pillow 13: Image.fromarray(row).resize((width, 2), Image.BILINEAR); also to be had by hand: halving weighs four
// neighbours by 1/8, 3/8, 3/8, 1/8, doubling two by 1/4, 3/4.
const row = [0, 0, 0, 100, 0, 0, 200, 200];

test.each([
  [16, [0, 0, 0, 0, 0, 25, 75, 75, 25, 0, 0, 50, 150, 200, 200, 200]],
  [12, [0, 0, 0, 0, 50, 83, 17, 0, 33, 167, 200, 200]],
  [9, [0, 0, 0, 61, 50, 0, 56, 200, 200]],
  [8, row],
  [4, [0, 38, 38, 171]],
  [3, [8, 36, 137]],
])('8 elements to %i, along either axis', (to, expected) => {
  const across = resizeBilinear(
    { height: 2, width: 8, data: Uint8Array.from([...row, ...row]) },
    { height: 2, width: to },
  );
  expect([...across.data]).toEqual([...expected, ...expected]);
  const upright = Uint8Array.from(row.flatMap((v) => [v, v]));
  const down = resizeBilinear({ height: 8, width: 2, data: upright }, { height: to, width: 2 });
  expect([...down.data]).toEqual(expected.flatMap((v) => [v, v]));
});

test.each([
  [30, 50, 'b8f037aaf11eba20'],
  [224, 224, '5ef9fe79692de900'],
  [17, 48, '9388b837ab0a734e'],
  [64, 9, '289221ff94fea409'],
  [5, 3, '61b22bcc3de4ed04'],
  [299, 31, 'f91101d28eba734d'], // resized twice: columns, then rows
])('64×48 to %i×%i: the bytes of Pillow 13 (start of their SHA-256)', (width, height, digest) => {
  const data = Uint8Array.from({ length: 64 * 48 }, (_, i) => (i * 7 + Math.floor(i / 64) * 13) % 256);
  const resized = resizeBilinear({ height: 48, width: 64, data }, { height, width });
  expect([resized.width, resized.height]).toEqual([width, height]);
  expect(createHash('sha256').update(resized.data).digest('hex').slice(0, 16)).toBe(digest);
});
