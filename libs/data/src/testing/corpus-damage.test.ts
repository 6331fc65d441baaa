// Some of the damaged inputs of corpus-damage.slow.test.ts, which reads 5000.
import { countDamagedFolders, countDamagedScans, sources } from './corpus-damage.fixture.ts';

test('every kind of damage to every format once or twice', async () => {
  const count = 12 * sources;
  const { read, reported, refused, seconds } = await countDamagedScans(count, 100_000);
  expect(read + reported + refused).toBe(count);
  for (const outcome of [read, reported, refused]) expect(outcome).toBeGreaterThan(20);
  expect(seconds).toBeLessThan(2);
});

test('damaged folders and names', async () => {
  const { read, reported, refused, seconds } = await countDamagedFolders(48, 100_000);
  expect(read + reported + refused).toBe(48);
  expect(reported).toBeGreaterThan(20);
  expect(seconds).toBeLessThan(2);
});
