// Several devices in one process, each with an engine in its own worker thread. Virtual CPU devices stand in for GPUs.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

interface Report {
  /** TensorFlow's name of the device that holds the tensor. */
  places: Record<'eager' | 'captured' | 'weight' | 'moment', string>;
  losses: number[];
}

async function member(index: number): Promise<Report> {
  const worker = new Worker(new URL('../../fixtures/device-worker.mjs', import.meta.url), {
    workerData: index,
  });
  const ended = once(worker, 'exit');
  const [report] = (await once(worker, 'message')) as [Report];
  expect(await ended).toEqual([0]);
  return report;
}

it('cpu:0, cpu:1 and cpu:2 train at the same time, each on its own device and with the same losses', async () => {
  const members = await Promise.all([0, 1, 2].map(member));
  members.forEach(({ places }, index) => {
    for (const place of Object.values(places))
      expect(place).toBe(`/job:localhost/replica:0/task:0/device:CPU:${index}`);
  });
  const losses = members.map((report) => report.losses);
  expect(losses[0]).toHaveLength(30);
  expect(losses[0]![29]!).toBeLessThan(losses[0]![0]! / 2);
  expect(losses[1]).toEqual(losses[0]);
  expect(losses[2]).toEqual(losses[0]);
});
