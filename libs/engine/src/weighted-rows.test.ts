import tf, { type Scalar, type Tensor, type Tensor2D } from '@tensorflow/tfjs';
import { capture } from './capture.ts';
import { type Engine, openEngine } from './engine.ts';
import { onlyIf } from './only-if.ts';
import { sumOfGathers, weightedRows } from './weighted-rows.ts';

describe.each(['tensorflow', 'cpu'] as const)('on the engine %s', (kind) => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await openEngine({ engine: kind });
  });
  afterAll(() => engine.close());

  const inputs = () => ({
    x: tf.tensor2d([[1, 10], [2, 20], [3, 30]]), // prettier-ignore
    rows: tf.tensor2d([[0, 1], [2, 2], [1, 0], [0, 2]], [4, 2], 'int32'), // prettier-ignore
    weights: tf.tensor2d([[1, 0.5], [2, 1], [0, 3], [-1, 1]]), // prettier-ignore
  });
  const sums = [[2, 20], [9, 90], [3, 30], [2, 20]]; // prettier-ignore

  test('weighted sums of rows, eager, captured and as gathers', async () => {
    expect((weightedRows(inputs()).arraySync())).toEqual(sums); // prettier-ignore
    expect(sumOfGathers(inputs()).arraySync()).toEqual(sums);
    const step = capture((given: Record<'x' | 'rows' | 'weights', Tensor2D>) => ({ y: weightedRows(given) }));
    const before = tf.memory().numTensors;
    const given = inputs();
    const { y } = await step(given);
    expect(await y.array()).toEqual(sums);
    tf.dispose([given, y]);
    expect(tf.memory().numTensors).toBe(before);
    step.dispose();
  });

  test('f where the condition holds, x where it does not, decided at every run', async () => {
    const step = capture(({ x, condition }: { x: Tensor; condition: Scalar }) => ({
      y: tf.add(
        onlyIf(condition, x, (value) => tf.add(tf.mul(value, value), tf.sum(value))),
        1,
      ),
    }));
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
  });
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
