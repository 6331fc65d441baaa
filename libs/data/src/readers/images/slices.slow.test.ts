// The decoder of JPEG and PNG slices under much damage; bounded time and memory.
import { countDamagedSlices } from './slices-damage.fixture.ts';

test('500 damaged JPEG and PNG files', async () => {
  const { read, refused, largest, seconds, megabytes } = await countDamagedSlices(500);
  expect(read).toBeGreaterThan(20);
  expect(refused).toBeGreaterThan(200);
  expect(largest).toBeLessThan(2 ** 28);
  expect(seconds).toBeLessThan(2);
  expect(megabytes).toBeLessThan(300);
});
