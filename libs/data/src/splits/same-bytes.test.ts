// Scans of equal files, among scans that differ in as little as possible.
import { join } from 'node:path';
import { writeTree } from '../testing/dataset.fixture.ts';
import { scansOfSameBytes } from './same-bytes.ts';

/** A file of 100 kB of one byte, with another one at some place. */
function bytesWith(place?: number): Uint8Array {
  const bytes = new Uint8Array(100_000).fill(7);
  if (place !== undefined) bytes[place] = 8;
  return bytes;
}

test('equal files are found; a byte at the beginning, in the middle or at the end tells scans apart', async () => {
  const contents = {
    a: bytesWith(),
    first: bytesWith(0),
    middle: bytesWith(50_000),
    last: bytesWith(99_999),
    b: bytesWith(),
    shorter: bytesWith().subarray(1),
    c: bytesWith(0),
  };
  const root = await writeTree(contents);
  const scans = Object.keys(contents).map((name) => ({ name, slices: [join(root, name)] }));
  const groups = await scansOfSameBytes(scans);
  expect(groups.map((group) => group.map(({ name }) => name)).sort()).toEqual([
    ['a', 'b'],
    ['first', 'c'],
  ]);
});

test('scans of several slices are equal if all slices are, in their order; missing files equal none', async () => {
  const root = await writeTree({ x: bytesWith(1), y: bytesWith(2), z: bytesWith(3) });
  const scan = (name: string, ...files: string[]) => ({
    name,
    slices: files.map((file) => join(root, file)),
  });
  const groups = await scansOfSameBytes([
    scan('one', 'x', 'y', 'z'),
    scan('other order', 'z', 'y', 'x'),
    scan('two', 'x', 'y', 'z'),
    scan('fewer', 'x', 'y'),
    scan('absent', 'no', 'y', 'z'),
    scan('absent too', 'none', 'y', 'z'),
  ]);
  expect(groups.map((group) => group.map(({ name }) => name))).toEqual([['one', 'two']]);
  expect(await scansOfSameBytes([{ slices: [] }, { slices: [] }])).toEqual([]);
});
