import { randomStream } from '@ct-ensemble/core';
import { readDatasetIndex } from '../layouts/dataset-index.ts';
import { testOnRealData } from '../testing/dataset.fixture.ts';
import { fingerprintOf, NEAR_EQUAL, nearEqualPairs } from './fingerprint.ts';
import { alteredCopy, fingerprintOfScan, randomFingerprints } from './fingerprint.fixture.ts';
import type { Volume } from './volume.ts';

/** Smooth blobs that change along the depth: to a fingerprint what a scan is. */
function blobs(seed: number, { depth = 16, size = 32 } = {}): Volume {
  const random = randomStream({ seed, purpose: 'blobs' });
  const sums = new Float64Array(depth * size * size);
  for (let blob = 0; blob < 40; blob++) {
    const [cz, cy, cx, width, height] = Array.from({ length: 5 }, () => random.uniform()) as [
      number,
      number,
      number,
      number,
      number,
    ];
    // A Gaussian is the product of one along each axis.
    const along = (length: number, centre: number, flatness: number) =>
      Float64Array.from({ length }, (_, i) =>
        Math.exp(-((i / length - centre) ** 2) / flatness / (0.01 + 0.02 * width)),
      );
    const [gz, gy, gx] = [along(depth, cz, 2), along(size, cy, 1), along(size, cx, 1)];
    for (let z = 0, i = 0; z < depth; z++)
      for (let y = 0; y < size; y++) {
        const weight = (height - 0.4) * gz[z]! * gy[y]!;
        for (let x = 0; x < size; x++, i++) sums[i] = sums[i]! + weight * gx[x]!;
      }
  }
  const data = Uint8Array.from(sums, (sum) => Math.max(0, Math.min(255, 100 + 90 * sum)));
  return { depth, height: size, width: size, data };
}

const changed = (volume: Volume, grey: (value: number, i: number) => number): Volume => ({
  ...volume,
  data: Uint8Array.from(volume.data, (value, i) => Math.max(0, Math.min(255, Math.round(grey(value, i))))),
});
const planes = (volume: Volume, order: number[]): Volume => {
  const length = volume.height * volume.width;
  const data = new Uint8Array(order.length * length);
  for (const [z, from] of order.entries())
    data.set(volume.data.subarray(from * length, (from + 1) * length), z * length);
  return { ...volume, depth: order.length, data };
};
const distance = async (a: Volume, b: Volume) => {
  const pair = [a, b].map((volume) => ({ fingerprint: fingerprintOf(volume) }));
  return (await nearEqualPairs(pair, { threshold: 2 }))[0]!.distance;
};

test('bits by hand: does the grey value rise to the right, and downwards', () => {
  // 2×2 and one slice: the mean rises to the right by one and falls downwards; the variance is 0 everywhere.
  const one: Volume = { depth: 1, height: 2, width: 2, data: Uint8Array.of(7, 8, 3, 9) };
  expect(fingerprintOf(one)).toBe('00000001');
  // Two slices: the mean is 5, 5, 6, 5, the variance 0, 4, 1, 0; bits are right, down of the mean, then of the variance.
  const two: Volume = { depth: 2, height: 2, width: 2, data: Uint8Array.of(5, 3, 5, 5, 5, 7, 7, 5) };
  expect(fingerprintOf(two)).toBe((0b1110).toString(16).padStart(8, '0'));
});

test('3844 bits from 32×32 pixels on, averaged over blocks above', () => {
  const small = blobs(1);
  expect(fingerprintOf(small)).toMatch(/^[0-9a-f]{968}$/);
  const large = {
    ...small,
    height: 64,
    width: 96,
    data: Uint8Array.from({ length: 16 * 64 * 96 }, (_, i) => {
      const [z, y, x] = [Math.floor(i / 6144), Math.floor(i / 96) % 64, i % 96];
      return small.data[z * 1024 + (y >> 1) * 32 + Math.floor(x / 3)]!;
    }),
  };
  expect(fingerprintOf(large)).toBe(fingerprintOf(small));
});

test('grey values scaled, noise, lost slices and the other order are near; other volumes are far', async () => {
  const scan = blobs(1);
  const noise = randomStream({ seed: 1, purpose: 'noise' });
  const order = Array.from({ length: 16 }, (_, z) => z);
  const near = {
    same: scan,
    windowed: changed(scan, (value) => 1.1 * value - 10),
    noisy: changed(scan, (value) => value + 4 * noise.uniform() - 2),
    reversed: planes(scan, order.toReversed()),
    shorter: planes(
      scan,
      order.filter((z) => z !== 5 && z !== 11),
    ),
  };
  for (const [name, copy] of Object.entries(near))
    expect([name, (await distance(scan, copy)) < NEAR_EQUAL]).toEqual([name, true]);
  for (let seed = 2; seed < 12; seed++)
    expect(await distance(scan, blobs(seed))).toBeGreaterThan(NEAR_EQUAL + 0.1);
});

test('the distance is the differing bits over all that are set, whatever the threshold', async () => {
  const pair = [{ fingerprint: '0000000f0000f000' }, { fingerprint: '000000fe00007000' }];
  expect(await nearEqualPairs(pair, { threshold: 1.5 })).toEqual([
    { first: pair[0], second: pair[1], distance: (1 + 4 + 1) / (8 + 4) },
  ]);
  expect(await nearEqualPairs(pair, { threshold: 0.51 })).toHaveLength(1);
  expect(await nearEqualPairs(pair, { threshold: 0.49 })).toEqual([]);
});

test('volumes of one grey value, and of different sizes, are near to none', async () => {
  const flat = changed(blobs(1), () => 17);
  const fingerprints = [flat, flat, blobs(1, { size: 20 }), blobs(1)].map((volume) => ({
    fingerprint: fingerprintOf(volume),
  }));
  expect(await nearEqualPairs(fingerprints)).toEqual([]);
});

test('one pair among hundreds of scans is found', async () => {
  expect(await nearEqualPairs(randomFingerprints(200))).toMatchObject([{ distance: 0 }]);
});

/** Bits that differ and bits that are set in either, of fingerprints written as hexadecimal digits. */
function bitsOf(a: string, b: string): { differing: number; either: number } {
  const ones = (value: bigint) => value.toString(2).replaceAll('0', '').length;
  const [x, y] = [BigInt(`0x${a}`), BigInt(`0x${b}`)];
  return { differing: ones(x ^ y), either: ones(x | y) };
}

test('the pairs are those of comparing every two, for any number of scans and any length', async () => {
  const random = randomStream({ seed: 2, purpose: 'fingerprints' });
  // Copies of six fingerprints with every bit turned with a probability of 0 to 0.2, in three lengths.
  const scans = Array.from({ length: 720 }, (_, i) => {
    const words = i % 12 === 0 ? 17 : i % 12 === 1 ? 40 : 2;
    const origin = randomStream({ seed: 3, purpose: 'origin', sample: i % 6 });
    const share = 0.2 * random.uniform();
    const fingerprint = Array.from({ length: words }, () => {
      let word = origin.bits();
      for (let bit = 0; bit < 32; bit++) if (random.uniform() < share) word ^= 1 << bit;
      return (word >>> 0).toString(16).padStart(8, '0');
    }).join('');
    return { i, fingerprint };
  });
  const compared = scans.flatMap((a) =>
    scans
      .slice(a.i + 1)
      .filter((b) => b.fingerprint.length === a.fingerprint.length)
      .map((b) => ({ a: a.i, b: b.i, ...bitsOf(a.fingerprint, b.fingerprint) })),
  );
  // No two fingerprints have such a distance exactly.
  for (const threshold of [NEAR_EQUAL - 0.0003, 0.5003]) {
    const expected = compared
      .filter(({ differing, either }) => differing < threshold * either)
      .map(({ a, b, differing, either }) => [a, b, differing / either] as const)
      .sort(([a, b, x], [c, d, y]) => x - y || a - c || b - d);
    expect(expected.length).toBeGreaterThan(1000);
    expect(expected.length).toBeLessThan(compared.length / 2);
    const found = await nearEqualPairs(scans, { threshold });
    expect(found.map(({ first, second, distance }) => [first.i, second.i, distance])).toEqual(expected);
  }
});

test('timers of the thread run while fingerprints are compared, and the comparison can be stopped', async () => {
  const scans = randomFingerprints(6000);
  let ticks = 0;
  const timer = setInterval(() => ticks++, 1);
  await nearEqualPairs(scans);
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(2);
  const stop = new AbortController();
  setTimeout(() => stop.abort(new Error('stopped')), 1);
  await expect(nearEqualPairs(scans, { signal: stop.signal })).rejects.toThrow('stopped');
});

testOnRealData('a real scan is near to an altered copy, and not to another patient', async (root) => {
  const scans = (await readDatasetIndex(root)).scans.filter(({ slices }) => slices.length > 30);
  const scan = scans[0]!;
  const other = scans.find(({ patient }) => patient !== scan.patient)!;
  const prints = [];
  for (const each of [scan, await alteredCopy(scan), other])
    prints.push({ key: each.key, fingerprint: await fingerprintOfScan(each) });
  expect((await nearEqualPairs(prints)).map(({ first, second }) => [first.key, second.key])).toEqual([
    [scan.key, 'copy'],
  ]);
});
