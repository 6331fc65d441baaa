// The same inputs, threads and device give the same bytes, in separate processes, captured or eager.
import tf, { type Tensor2D } from '@tensorflow/tfjs';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { capture } from './capture/capture.ts';
import { openEngine } from './engine.ts';

interface Result {
  losses: number[];
  /** Hexadecimal bytes. */
  lossBytes: string;
  weights: Record<string, string>;
}

async function train(threads: number, way: 'captured' | 'eager'): Promise<Result> {
  const program = fileURLToPath(new URL('../fixtures/deterministic.mjs', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program, String(threads), way], {
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  return JSON.parse(stdout) as Result;
}

it.each([1, 2])('five steps of a convolutional network with %d threads', async (threads) => {
  const [first, second, eager] = await Promise.all([
    train(threads, 'captured'),
    train(threads, 'captured'),
    train(threads, 'eager'),
  ]);
  expect(first.losses[4]!).toBeLessThan(first.losses[0]! / 2);
  expect(new Set(Object.values(first.weights)).size).toBeGreaterThan(5);
  expect(second).toEqual(first);
  expect(eager).toEqual(first);
});

it('only softmax differs in its last bits: captured steps use oneDNN, eager ops Eigen', async () => {
  const engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
  const x = tf.tensor2d(
    Float32Array.from({ length: 4096 }, (_, i) => 3 * Math.sin(i * 12.9898)),
    [16, 256],
  );
  const body = ({ x }: { x: Tensor2D }) => ({ y: tf.softmax(x) });
  const eager = body({ x }).y.dataSync();
  const captured = (await capture(body)({ x })).y.dataSync();
  eager.forEach((value, i) => expect(Math.abs(captured[i]! / value - 1)).toBeLessThan(1e-6));
  engine.close();
});
