// Several devices at once in one process, an engine and a worker thread each: virtual CPU devices stand for GPUs.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

interface Told {
  /** TensorFlow's name of the device where a tensor lies. */
  places: Record<'eager' | 'captured' | 'weight' | 'moment', string>;
  losses: number[];
}

async function member(index: number): Promise<Told> {
  const worker = new Worker(new URL('../../fixtures/device-worker.mjs', import.meta.url), {
    workerData: index,
  });
  const ended = once(worker, 'exit');
  const [told] = (await once(worker, 'message')) as [Told];
  expect(await ended).toEqual([0]);
  return told;
}

it('cpu:0, cpu:1 and cpu:2 train at the same time: each where it was put, all with the same losses', async () => {
  const members = await Promise.all([0, 1, 2].map(member));
  members.forEach(({ places }, index) => {
    for (const place of Object.values(places))
      expect(place).toBe(`/job:localhost/replica:0/task:0/device:CPU:${index}`);
  });
  const losses = members.map((told) => told.losses);
  expect(losses[0]).toHaveLength(30);
  expect(losses[0]![29]!).toBeLessThan(losses[0]![0]! / 2);
  expect(losses[1]).toEqual(losses[0]);
  expect(losses[2]).toEqual(losses[0]);
});
