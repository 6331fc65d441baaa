// A worker thread that stops in the middle of a captured run: the process survives and its other engines compute on.
import tf from '@tensorflow/tfjs';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { type Engine, openEngine } from './engine.ts';

const fixture = (name: string) => new Worker(new URL(`../fixtures/${name}`, import.meta.url));
const device = { kind: 'cpu', index: 0, threads: 1 } as const;

/** A worker in the middle of a step of about a second. */
async function busyWorker(): Promise<Worker> {
  const worker = fixture('busy-worker.mjs');
  expect(await once(worker, 'message')).toEqual(['busy']);
  return worker;
}

let engine: Engine | undefined;
afterEach(() => {
  engine?.close();
  engine = undefined;
});

it('terminated: another worker trains on, with the losses of an undisturbed training', async () => {
  const steady = fixture('steady-worker.mjs');
  const worker = await busyWorker();
  await worker.terminate();
  steady.postMessage('stop');
  const [rounds] = (await once(steady, 'message')) as [number[][]];
  expect(rounds.length).toBeGreaterThan(1);
  expect(new Set(rounds.map((losses) => losses.join(' '))).size).toBe(1);
  expect(rounds[0]![4]!).toBeLessThan(rounds[0]![0]!);
  engine = await openEngine({ device });
  expect(tf.add(1, 1).dataSync()[0]).toBe(2);
});

it('closes its engine on request: running and waiting steps reject with code stopped, and all memory is freed', async () => {
  const worker = await busyWorker();
  worker.postMessage('close');
  const [report] = await once(worker, 'message');
  expect(report).toEqual({ running: 'EngineError stopped', waiting: 'EngineError stopped', tensors: 0 });
});

it('ends its thread', async () => {
  const worker = await busyWorker();
  worker.postMessage('exit');
  expect(await once(worker, 'exit')).toEqual([0]);
});
