// 5000 damaged inputs of every format: each a named error or a readable scan, in bounded time and memory.
import { countDamagedFolders, countDamagedScans } from './corpus-damage.fixture.ts';

/** A busy machine takes long; the bounds are in CPU time. */
const TIMEOUT = 3_600_000;

const parts = (count: number, size: number) =>
  Array.from({ length: count }, (_, part) => [part * size, size]);

test.each(parts(11, 400))(
  'scans with one damaged file, from %i on, %i of them',
  async (from, count) => {
    const { read, reported, refused, seconds, megabytes } = await countDamagedScans(count!, from);
    expect(read + reported + refused).toBe(count);
    for (const outcome of [read, reported, refused]) expect(outcome).toBeGreaterThan(count! / 20);
    expect(seconds).toBeLessThan(2);
    expect(megabytes).toBeLessThan(500);
  },
  TIMEOUT,
);

test.each(parts(6, 100))(
  'folders with a file missing, doubled, renamed, of another format or of other content, from %i on, %i of them',
  async (from, count) => {
    const { read, reported, refused, seconds, megabytes } = await countDamagedFolders(count!, from);
    expect(read + reported + refused).toBe(count);
    expect(reported).toBeGreaterThan(count! / 4);
    expect(seconds).toBeLessThan(2);
    expect(megabytes).toBeLessThan(500);
  },
  TIMEOUT,
);
