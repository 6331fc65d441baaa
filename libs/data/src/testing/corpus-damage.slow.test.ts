// 5000 damaged inputs of every format: each a named error or a readable scan, in bounded time and memory.
import { countDamagedFolders, countDamagedScans } from './corpus-damage.fixture.ts';

test('4400 scans with one damaged file', async () => {
  const { read, reported, refused, seconds, megabytes } = await countDamagedScans(4400);
  expect(read + reported + refused).toBe(4400);
  for (const outcome of [read, reported, refused]) expect(outcome).toBeGreaterThan(300);
  expect(seconds).toBeLessThan(2);
  expect(megabytes).toBeLessThan(500);
});

test('600 folders with a file missing, doubled, renamed, of another format or of other content', async () => {
  const { read, reported, refused, seconds, megabytes } = await countDamagedFolders(600);
  expect(read + reported + refused).toBe(600);
  expect(reported).toBeGreaterThan(200);
  expect(seconds).toBeLessThan(2);
  expect(megabytes).toBeLessThan(500);
});
