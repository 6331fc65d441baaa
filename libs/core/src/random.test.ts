import { hash32, permutation, philox4x32, randomStream } from './random.ts';

describe('philox4x32', () => {
  // Known answers of the Random123 distribution (kat_vectors, philox4x32 10).
  it.each([
    [
      [0, 0, 0, 0],
      [0, 0],
      [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
    ],
    [
      [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
      [0xffffffff, 0xffffffff],
      [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
    ],
    [
      [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
      [0xa4093822, 0x299f31d0],
      [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
    ],
  ] as const)('of %j under %j', (counter, key, expected) => {
    expect(philox4x32([...counter], [...key])).toEqual([...expected]);
  });
});

describe('randomStream', () => {
  it('is a function of its key alone', () => {
    const take = () =>
      Array.from({ length: 5 }, randomStream({ seed: 7, purpose: 'a', epoch: 3, sample: 9 }).uniform);
    expect(take()).toEqual(take());
  });

  it('differs when any part of the key differs', () => {
    const keys = [
      { seed: 1, purpose: 'a', epoch: 0, sample: 0 },
      { seed: 2, purpose: 'a', epoch: 0, sample: 0 },
      { seed: 1, purpose: 'b', epoch: 0, sample: 0 },
      { seed: 1, purpose: 'a', epoch: 1, sample: 0 },
      { seed: 1, purpose: 'a', epoch: 0, sample: 1 },
      { seed: 1, purpose: 'a', epoch: 0, sample: 'train/covid/ct_scan_1' },
    ];
    expect(new Set(keys.map((key) => randomStream(key).bits())).size).toBe(keys.length);
  });

  it('has the mean and variance of its distributions', () => {
    const random = randomStream({ seed: 1, purpose: 'moments' });
    const n = 20_000;
    const moments = (draw: () => number) => {
      const values = Array.from({ length: n }, draw);
      const mean = values.reduce((a, b) => a + b) / n;
      return { mean, variance: values.reduce((a, b) => a + (b - mean) ** 2, 0) / n };
    };
    const uniform = moments(random.uniform);
    expect(Math.abs(uniform.mean - 1 / 2)).toBeLessThan(0.01);
    expect(Math.abs(uniform.variance - 1 / 12)).toBeLessThan(0.003);
    const normal = moments(random.normal);
    expect(Math.abs(normal.mean)).toBeLessThan(0.03);
    expect(Math.abs(normal.variance - 1)).toBeLessThan(0.05);
  });
});

test('permutation holds every number once and is not the identity', () => {
  const order = permutation(100, { seed: 1, purpose: 'shuffle' });
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect(order).not.toEqual([...order].sort((a, b) => a - b));
});

test('hash32 is FNV-1a', () => {
  // Values of the FNV reference page: the empty text, "a", "foobar".
  expect([hash32(''), hash32('a'), hash32('foobar')]).toEqual([0x811c9dc5, 0xe40c292c, 0xbf9cf968]);
});
