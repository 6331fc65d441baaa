import type { StoredScan, VolumeStore } from '@ct-ensemble/data';
import tf, { type Tensor2D } from '@tensorflow/tfjs';
import { meanOfRows, mirrored, predictScans, type PredictOptions } from './predict.ts';

/** Scan i has a volume of 2 × 1 × 1 whose first voxel is i. */
const scansOf = (count: number): StoredScan[] =>
  Array.from({ length: count }, (_, i) => ({
    key: `val/${i}`,
    label: null,
    split: 'val',
    name: String(i),
    volume: String(i),
    failure: null,
    slices: 2,
    kept: 2,
  }));
const store: Pick<VolumeStore, 'read'> = {
  read: async (key) => ({ depth: 2, height: 1, width: 1, data: Uint8Array.of(Number(key), 255) }),
};

/** Predicts i / 10 for scan i, and records how many volumes each call gets. */
async function predict(count: number, batchSize: number) {
  const sizes: number[] = [];
  const step = Object.assign(
    async ({ volumes }: { volumes: tf.Tensor }) => {
      sizes.push(volumes.shape[0]!);
      const first = (await volumes.array()) as number[][];
      const numbers = first.map((volume) => Number(volume.flat(3)[0]));
      return { probabilities: tf.tensor2d(numbers.map((n) => [n / 10, 1 - n / 10])) as Tensor2D };
    },
    { dispose: () => {} },
  ) as unknown as PredictOptions['step'];
  await tf.setBackend('cpu');
  const rows = await predictScans({ step, scans: scansOf(count), store, batchSize });
  return { sizes, first: rows.map(([p]) => Math.round(p! * 10)) };
}

test.each([
  [3, 16384, [3]],
  [4, 4, [4]],
  [5, 2, [2, 2, 2]],
  [0, 8, []],
])(
  '%i scans with a batch of %i: no batch is larger than the scans, all have one size',
  async (scans, size, sizes) => {
    expect(await predict(scans, size)).toEqual({ sizes, first: Array.from({ length: scans }, (_, i) => i) });
  },
);

test('the mean of several predictions by hand, each scan by itself; the mean of one is the same numbers', () => {
  const first = [
    [0.1, 0.9],
    [1, 0],
  ];
  expect(meanOfRows([first])).toEqual(first);
  const mean = meanOfRows([[[0, 1]], [[0.5, 0.5]], [[0.25, 0.75]], [[0.25, 0.75]]]);
  expect(mean).toEqual([[0.25, 0.75]]);
});

describe('test-time augmentation by flips', () => {
  /** Two views of 2 and 1 slices of 2 × 3 pixels: the bytes 1 … 18 for scan 0, 101 … 118 for scan 1. */
  const volumes: Pick<VolumeStore, 'read'> = {
    read: async (key) => ({
      depth: 3,
      height: 2,
      width: 3,
      data: Uint8Array.from({ length: 18 }, (_, i) => 100 * Number(key) + i + 1),
    }),
  };
  /** The probability is a function of the volume, [batch, depth, height, width] of numbers. */
  async function predictWith(of: (volume: number[][][]) => number, flips?: boolean) {
    const step = Object.assign(
      async ({ volumes }: { volumes: tf.Tensor }) => {
        const all = (await volumes.array()) as number[][][][];
        return { probabilities: tf.tensor2d(all.map((volume) => [of(volume), 1 - of(volume)])) as Tensor2D };
      },
      { dispose: () => {} },
    ) as unknown as PredictOptions['step'];
    await tf.setBackend('cpu');
    return predictScans({ step, scans: scansOf(3), store: volumes, batchSize: 2, flips });
  }

  test('every row of every slice is mirrored, of both views', () => {
    const bytes = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    expect([...mirrored(bytes, 3)]).toEqual([3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10]);
    expect(bytes[0]).toBe(1);
  });

  test('the mean of both by hand: the first pixel of the last slice, and its mirror image', async () => {
    const corner = (volume: number[][][]) => volume[2]![0]![0]! / 256;
    const [first, second, third] = await predictWith(corner, true);
    // Pixels 13 and 15 of the first scan: (13 + 15) / 2 / 256; 100 more in the second; 213 and 215 in the third.
    expect([first![0], second![0], third![0]]).toEqual([14 / 256, 114 / 256, 214 / 256]);
    expect(first![0]! + first![1]!).toBe(1);
  });

  test('a model that does not tell left from right answers as without augmentation', async () => {
    const sum = (volume: number[][][]) => volume.flat(2).reduce((a, b) => a + b) / 2 ** 13;
    expect(await predictWith(sum, true)).toEqual(await predictWith(sum));
  });
});
