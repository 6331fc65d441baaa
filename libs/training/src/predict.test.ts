import type { StoredScan, VolumeStore } from '@ct-ensemble/data';
import tf, { type Tensor2D } from '@tensorflow/tfjs';
import { predictScans, type PredictOptions } from './predict.ts';

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
