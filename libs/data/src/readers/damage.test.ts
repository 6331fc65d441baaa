import { damaged, DAMAGES } from '../testing/damage.fixture.ts';

const sound = Uint8Array.from({ length: 1000 }, (_, i) => (i < 700 ? i % 256 : 0));
const seeds = Array.from({ length: 200 }, (_, seed) => seed);

test.each(DAMAGES)('%s: other bytes than before, the same for the same seed', (kind) => {
  const before = Buffer.from(sound);
  const made = seeds.map((seed) => Buffer.from(damaged(sound, { seed, kind })));
  expect(made.filter((bytes) => bytes.equals(sound) || bytes.length > sound.length + 4096)).toEqual([]);
  expect(seeds.filter((seed) => !made[seed]!.equals(damaged(sound, { seed, kind })))).toEqual([]);
  expect(new Set(made.map((bytes) => bytes.toString('latin1'))).size).toBeGreaterThan(150);
  expect(before.equals(sound)).toBe(true);
});

test('what each kind does', () => {
  for (const seed of seeds) {
    const truncated = damaged(sound, { seed, kind: 'truncated' });
    expect(Buffer.from(truncated).equals(sound.subarray(0, truncated.length))).toBe(true);
    const flipped = damaged(sound, { seed, kind: 'bits-flipped' });
    const flips = flipped.reduce((sum, byte, i) => sum + bitsOf(byte ^ sound[i]!), 0);
    expect(flips >= 1 && flips <= 64 && flipped.length === sound.length).toBe(true);
    const overwritten = damaged(sound, { seed, kind: 'length-overwritten' });
    const places = [...overwritten.keys()].filter((i) => overwritten[i] !== sound[i]);
    expect(places.at(-1)! - places[0]!).toBeLessThan(4);
    expect(places.at(-1)).toBeLessThan(512);
    const longer = damaged(sound, { seed, kind: 'garbage-appended' });
    expect(Buffer.from(longer.subarray(0, sound.length)).equals(sound)).toBe(true);
    const twice = damaged(sound, { seed, kind: 'block-duplicated' });
    const more = twice.length - sound.length;
    expect(more >= 1 && more <= sound.length).toBe(true);
  }
});

const bitsOf = (byte: number) => byte.toString(2).replaceAll('0', '').length;

test('a file of one byte can be damaged in every way', () => {
  for (const kind of DAMAGES)
    for (const seed of seeds) {
      const bytes = damaged(Uint8Array.of(7), { seed, kind });
      expect(bytes.length === 1 && bytes[0] === 7).toBe(false);
    }
});
