import { setTimeout as sleep } from 'node:timers/promises';
import { readBatches } from './batches.ts';
import { openVolumeStore, type VolumeStore } from '../store/volume-store.ts';
import type { StoredScan } from '../scan-entry.ts';
import { flatPng, scanOf, temporaryFolder } from '../testing/dataset.fixture.ts';

/** A store of volumes 1×2×2, all values the scan's number; counts what is read. */
function numbered(count: number, delay = 0) {
  const started: string[] = [];
  const scans = Array.from({ length: count }, (_, i): StoredScan => {
    const name = `ct_scan_${i}`;
    const label = i === 2 ? null : i % 2;
    return {
      key: `train/covid/${name}`,
      label,
      split: 'train',
      name,
      volume: String(i),
      failure: null,
      slices: 1,
      kept: 1,
    };
  });
  const store: Pick<VolumeStore, 'read'> = {
    read: async (key) => {
      started.push(key);
      await sleep(delay);
      return { depth: 1, height: 2, width: 2, data: new Uint8Array(4).fill(Number(key)) };
    },
  };
  return { scans, store, started };
}

test('data, labels and samples follow the order; the last batch is smaller', async () => {
  const { scans, store } = numbered(5);
  const batches = [];
  for await (const batch of readBatches({ scans, order: [4, 2, 0, 3, 4], batchSize: 2, store }))
    batches.push(batch);
  expect(batches).toEqual([
    {
      data: Uint8Array.of(4, 4, 4, 4, 2, 2, 2, 2),
      shape: [2, 1, 2, 2],
      labels: Int32Array.of(0, -1),
      samples: [4, 2],
    },
    {
      data: Uint8Array.of(0, 0, 0, 0, 3, 3, 3, 3),
      shape: [2, 1, 2, 2],
      labels: Int32Array.of(0, 1),
      samples: [0, 3],
    },
    { data: Uint8Array.of(4, 4, 4, 4), shape: [1, 1, 2, 2], labels: Int32Array.of(0), samples: [4] },
  ]);
});

test('an empty order has no batch', async () => {
  const { scans, store } = numbered(1);
  const reading = readBatches({ scans, order: [], batchSize: 2, store });
  expect(await reading.next()).toEqual({ done: true, value: undefined });
});

test.each([
  [0, 2],
  [1, 4],
  [2, 6],
])('with ahead %i, %i scans are being read while the caller has the first batch', async (ahead, expected) => {
  const { scans, store, started } = numbered(12);
  for await (const batch of readBatches({
    scans,
    order: scans.map((_, i) => i),
    batchSize: 2,
    store,
    ahead,
  })) {
    await sleep(50);
    if (batch.samples[0] === 0) expect(started).toHaveLength(expected);
  }
  expect(started).toHaveLength(12);
});

test.each([1, 2, 3])(
  'with ahead %i, never more than that and the batch in hand is in memory',
  async (ahead) => {
    const { scans, store, started } = numbered(60);
    let given = 0;
    for await (const { samples } of readBatches({
      scans,
      order: scans.map((_, i) => i),
      batchSize: 4,
      store,
      ahead,
    })) {
      given += samples.length;
      const allowed = Math.min(60, given + 4 * ahead);
      for (let k = 0; k < 400 && started.length < allowed; k++) await sleep(5);
      await sleep(5); // the reading would go on if it might
      expect(started).toHaveLength(allowed);
    }
  },
);

test('returning early stops the reading', async () => {
  const { scans, store, started } = numbered(100, 5);
  const reading = readBatches({ scans, order: scans.map((_, i) => i), batchSize: 4, store, ahead: 2 });
  expect((await reading.next()).value?.samples).toEqual([0, 1, 2, 3]);
  await reading.return(undefined);
  const count = started.length;
  expect(count).toBeLessThan(12);
  await sleep(50);
  expect(started).toHaveLength(count);
});

test('errors surface with their batch: no volume, mixed shapes, damage, no such sample', async () => {
  const { scans, store } = numbered(6);
  scans[3] = { ...scans[3]!, volume: null, failure: 'none of its 9 slices can be decoded' };
  const seen: number[][] = [];
  const read = async (order: number[], from: Pick<VolumeStore, 'read'> = store) => {
    for await (const { samples } of readBatches({ scans, order, batchSize: 2, store: from })) {
      await sleep(10); // the failed batch is already read
      seen.push(samples);
    }
  };
  await expect(read([0, 1, 2, 3, 4])).rejects.toThrow(/ct_scan_3: has no volume: none of its 9 slices/);
  expect(seen).toEqual([[0, 1]]);
  await expect(read([9])).rejects.toThrow(/sample 9 is not among the 6 scans/);
  const mixed: Pick<VolumeStore, 'read'> = {
    ...store,
    read: async (key) => ({
      depth: 1 + Number(key),
      height: 1,
      width: 1,
      data: new Uint8Array(1 + Number(key)),
    }),
  };
  await expect(read([0, 1], mixed)).rejects.toThrow(
    /ct_scan_1: has the shape 2×1×1, others of the batch 1×1×1/,
  );
  await expect(read([0, 1], openVolumeStore(await temporaryFolder()))).rejects.toThrow(
    /0\.npy: is not in the store/,
  );
});

test('from the store on disk', async () => {
  const store = openVolumeStore(await temporaryFolder());
  const preparation = { depth: 2, height: 8, width: 8 };
  const scans = await Promise.all(
    [30, 60].map(
      async (value) => (await store.prepare(await scanOf([await flatPng(value)]), { preparation })).stored,
    ),
  );
  for await (const { data, shape } of readBatches({ scans, order: [1, 0], batchSize: 8, store })) {
    expect(shape).toEqual([2, 2, 8, 8]);
    expect([...new Set(data.subarray(0, 128)), ...new Set(data.subarray(128))]).toEqual([60, 30]);
  }
});
