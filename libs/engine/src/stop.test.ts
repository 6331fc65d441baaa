// Closing an engine and disposing a captured step while a run is pending.
import tf from '@tensorflow/tfjs';
import { capture } from './capture/capture.ts';
import { type Engine, openEngine } from './engine.ts';

const device = { kind: 'cpu', index: 0, threads: 1 } as const;

let engine: Engine | undefined;
afterEach(() => {
  engine?.close();
  engine = undefined;
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
