// Splits and equal files of data sets of many scans: the work grows with the number of scans, not with its square.
import { join } from 'node:path';
import { randomStream } from '@ct-ensemble/core';
import { cpuTime } from '../testing/damage.fixture.ts';
import { writeTree } from '../testing/dataset.fixture.ts';
import { makeFolds, makeSplits } from './make-splits.ts';
import { scansOfSameBytes } from './same-bytes.ts';

/** CPU milliseconds of some work. */
async function costOf(work: () => unknown): Promise<number> {
  const start = cpuTime();
  await work();
  return cpuTime() - start;
}

test('sixteen times as many patients take less than sixty times as long', async () => {
  const random = randomStream({ seed: 1, purpose: 'patients' });
  const scans = Array.from({ length: 64_000 }, (_, i) => ({
    key: `scan-${i}`,
    patient: `patient-${i}`,
    label: random.integer(3),
  }));
  const cost = (count: number) =>
    costOf(() => {
      makeSplits(scans.slice(0, count), { val: 0.2, test: 0.2, seed: 1 });
      makeFolds(scans.slice(0, count), { folds: 5, seed: 1 });
    });
  await cost(4000); // compiles
  const small = await cost(4000);
  expect(await cost(64_000)).toBeLessThan(60 * small);
});

test('so many scans of the same number of slices are grouped in seconds', async () => {
  const root = await writeTree({ a: 'same', b: 'same' });
  const missing = Array.from({ length: 150_000 }, (_, i) => ({ slices: [join(root, `missing-${i}`)] }));
  const pair = ['a', 'b'].map((name) => ({ slices: [join(root, name)] }));
  const all = [...missing, ...pair];
  const start = cpuTime();
  expect(await scansOfSameBytes(all)).toEqual([pair]);
  // Copying a list for each scan of a group takes minutes.
  expect(cpuTime() - start).toBeLessThan(60_000);
});
