import tf, { type Scalar, type Tensor, type Tensor2D } from '@tensorflow/tfjs';
import { capture } from '../capture/capture.ts';
import { type Engine, openEngine } from '../engine.ts';
import { onlyIf } from './only-if.ts';
import { blendRows } from './blend-rows.ts';

describe.each(['tensorflow', 'cpu'] as const)('on the engine %s', (kind) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ engine: kind });
  });
  afterAll(() => engine.close());

  const inputs = (channels: number) => ({
    x: tf.tidy(() => tf.tile(tf.tensor2d([[1], [102], [3], [255]]), [1, channels])) as Tensor2D,
    rows: tf.tensor2d([[0, 2, 1, 3, 0], [1, 2, 0, 3, 2]], [2, 5], 'int32'), // prettier-ignore
    weights: tf.tensor2d([[0.5, 0.75, 0, 0.5, 0.25], [0.5, 0.25, 0.25, 0.5, 0.125]]), // prettier-ignore
  });
  const sums = [52, 3, 0, 255, 1]; // 51.5, 3, 0.25, 255, 0.625

  test.each(kind === 'tensorflow' ? [1, 3, 2 ** 17 + 1] : [1, 3])(
    'weighted sums of rows of %i channels, rounded half up',
    async (channels) => {
      const first = (y: Tensor2D) => tf.tidy(() => [...tf.slice(y, [0, channels - 1], [5, 1]).dataSync()]);
      expect(first(blendRows(inputs(channels)))).toEqual(sums);
      const step = capture((given: Record<'x' | 'rows' | 'weights', Tensor2D>) => ({ y: blendRows(given) }));
      const before = tf.memory().numTensors;
      const given = inputs(channels);
      const { y } = await step(given);
      expect(first(y)).toEqual(sums);
      tf.dispose([given, y]);
      expect(tf.memory().numTensors).toBe(before);
      step.dispose();
    },
  );

  test.each([false, true])(
    'f where the condition holds, else x, decided at every run; jit: %s',
    async (jit) => {
      const decide = ({ x, condition }: { x: Tensor; condition: Scalar }) => ({
        y: tf.add(
          onlyIf(condition, x, (value) => tf.add(tf.mul(value, value), tf.sum(value))),
          1,
        ),
      });
      const step = capture(decide, { jit });
      for (const [condition, expected] of [
        [true, [8, 11, 16]],
        [false, [2, 3, 4]],
        [true, [8, 11, 16]],
      ] as const) {
        const { y } = await step({ x: tf.tensor1d([1, 2, 3]), condition: tf.scalar(condition) });
        expect([...(await y.data())]).toEqual(expected);
      }
      const eager = (condition: boolean) =>
        onlyIf(tf.scalar(condition), tf.tensor1d([1, 2]), (x) => tf.neg(x)).dataSync();
      expect([[...eager(true)], [...eager(false)]]).toEqual([[-1, -2], [1, 2]]); // prettier-ignore
      step.dispose();
    },
  );
});

test('in a captured step on a CPU, what is not wanted is not computed', async () => {
  const engine = await openEngine();
  const step = capture(
    ({ x, condition }: { x: Tensor; condition: Scalar }) => ({
      y: onlyIf(condition, x, (value) => tf.log(value)),
    }),
    { checkNumerics: true },
  );
  const x = tf.tensor1d([-1]);
  expect([...(await (await step({ x, condition: tf.scalar(false) })).y.data())]).toEqual([-1]);
  await expect(step({ x, condition: tf.scalar(true) })).rejects.toThrow(/not finite/);
  engine.close();
});
