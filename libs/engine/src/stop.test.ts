// A worker thread that stops in the middle of a captured run: the process lives, and other engines compute on.
import tf from '@tensorflow/tfjs';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { capture } from './capture/capture.ts';
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

it('terminated, beside a worker that trains on: its losses are those of an undisturbed one', async () => {
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

it('closes its engine when asked: the step that runs and those that wait reject by name, and all memory is free', async () => {
  const worker = await busyWorker();
  worker.postMessage('close');
  const [told] = await once(worker, 'message');
  expect(told).toEqual({ running: 'EngineError stopped', waiting: 'EngineError stopped', tensors: 0 });
});

it('ends its thread', async () => {
  const worker = await busyWorker();
  worker.postMessage('exit');
  expect(await once(worker, 'exit')).toEqual([0]);
});

it('a closed engine is closed for good, and another can be opened at once', async () => {
  const first = await openEngine({ device });
  const step = capture(({ x }: { x: tf.Tensor }) => ({ y: tf.add(x, 1) }));
  const x = tf.scalar(1);
  const late = step({ x });
  first.close();
  engine = await openEngine({ device });
  await expect(late).rejects.toMatchObject({ name: 'EngineError', code: 'stopped' });
  first.close();
  step.dispose();
  x.dispose();
  expect(tf.add(1, 1).dataSync()[0]).toBe(2);
});

it('a step disposed while it runs gives its result', async () => {
  engine = await openEngine({ device });
  const constant = tf.fill([300, 300], 1e-3);
  const step = capture(({ x }: { x: tf.Tensor2D }) => {
    let y: tf.Tensor2D = x;
    for (let i = 0; i < 40; i++) y = tf.matMul(y, constant as tf.Tensor2D);
    return { y };
  });
  const x = tf.ones<tf.Rank.R2>([300, 300]);
  const run = step({ x });
  await new Promise((resolve) => setTimeout(resolve, 5));
  constant.dispose();
  step.dispose();
  const { y } = await run;
  expect(y.dataSync()[0]).toBeCloseTo(0.3 ** 40, 25);
});
