// Recomputation changes only memory and time: values, gradients and assignments are those of the plain call.
import tf, {
  type NamedTensorMap,
  type Scalar,
  type Tensor,
  type Tensor1D,
  type Tensor4D,
} from '@tensorflow/tfjs';
import { batchNormTraining } from '../training/batch-norm.ts';
import { capture } from '../capture/capture.ts';
import { type Engine, openEngine } from '../engine.ts';
import { recompute } from './recompute.ts';

let engine: Engine | undefined;
afterEach(() => {
  engine?.close();
  engine = undefined;
});

const sines = (length: number, phase: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 1.7 + phase));

interface Result {
  value: number;
  /** Gradients by input and weight, then the running statistics. */
  numbers: Record<string, number[]>;
}

/** A layer like DenseNet's: conv → batch norm with running statistics → ReLU, concatenated with the input. */
async function run(kind: 'tensorflow' | 'captured' | 'cpu', again: boolean): Promise<Result> {
  engine = await openEngine({ engine: kind === 'cpu' ? 'cpu' : 'tensorflow' });
  const weights = {
    conv: tf.variable(tf.tensor4d(sines(3 * 3 * 2 * 3, 1), [3, 3, 2, 3])),
    scale: tf.variable(tf.tensor1d([1, 0.5, 2])),
    offset: tf.variable(tf.tensor1d([0.1, 0, -0.1])),
  };
  const mean = tf.variable(tf.zeros([3]), false);
  const variance = tf.variable(tf.ones([3]), false);
  let calls = 0;
  const block = (x: Tensor): Tensor => {
    calls++;
    const normal = batchNormTraining({
      x: tf.conv2d(x as Tensor4D, weights.conv as unknown as Tensor4D, 1, 'same'),
      scale: weights.scale as unknown as Tensor1D,
      offset: weights.offset as unknown as Tensor1D,
      epsilon: 1e-5,
      running: {
        mean: mean as unknown as Tensor1D,
        variance: variance as unknown as Tensor1D,
        momentum: 0.1,
      },
    });
    mean.assign(normal.mean);
    variance.assign(normal.variance);
    return tf.concat([x, tf.relu(normal.y)], 3);
  };
  const list = Object.values(weights);
  const loss = (x: Tensor): Scalar =>
    tf.sum(tf.square(again ? recompute(block, [x], list) : block(x))) as Scalar;
  const body = ({ x }: { x: Tensor }): NamedTensorMap =>
    tf.tidy(() => {
      const { value, grads } = tf.variableGrads(() => loss(x), list);
      const moved = { mean: mean.clone(), variance: variance.clone() };
      return { value, ...Object.fromEntries(list.map(({ name }, i) => [`w${i}`, grads[name]!])), ...moved };
    });
  const x = tf.tensor4d(sines(2 * 4 * 4 * 2, 0), [2, 4, 4, 2]);
  const results = kind === 'captured' ? await capture(body)({ x }) : body({ x });
  expect(calls).toBe(again ? 2 : 1);
  const numbers = Object.fromEntries(
    Object.entries(results).map(([name, tensor]) => [name, Array.from(tensor.dataSync())]),
  );
  // The assigned values are visible outside of the step too, and were assigned only once.
  expect(Array.from(mean.dataSync())).toEqual(numbers['mean']);
  expect(Array.from(variance.dataSync())).toEqual(numbers['variance']);
  engine.close();
  engine = undefined;
  return { value: numbers['value']![0]!, numbers };
}

describe.each(['tensorflow', 'captured', 'cpu'] as const)('%s', (kind) => {
  it('value, gradients and running statistics are those without it', async () => {
    const plain = await run(kind, false);
    const again = await run(kind, true);
    expect(plain.value).toBeGreaterThan(1);
    expect(Math.max(...plain.numbers['w0']!.map(Math.abs))).toBeGreaterThan(0.1);
    expect(plain.numbers['mean']).not.toEqual([0, 0, 0]);
    expect(Object.keys(again.numbers)).toEqual(Object.keys(plain.numbers));
    for (const [name, values] of Object.entries(plain.numbers))
      values.forEach((value, i) => expect(again.numbers[name]![i]).toBeCloseTo(value, 4));
  });
});

it('gives the gradient with respect to its input: of x², 2x', async () => {
  engine = await openEngine();
  const gradient = tf.grad((x: Tensor) => recompute((y) => tf.square(y!), [x], []))(tf.tensor1d([1, 2, 3]));
  expect(Array.from(gradient.dataSync())).toEqual([2, 4, 6]);
});

it('follows another: of x⁹, 9x⁸', async () => {
  engine = await openEngine();
  const step = capture(({ x }: { x: Tensor }) => {
    const cube = (y?: Tensor) => tf.mul(y!, tf.square(y!));
    const f = (x: Tensor) => recompute(cube, [recompute(cube, [x], [])], []);
    return { g: tf.grad(f)(x) }; // of x⁹
  });
  const { g } = await step({ x: tf.tensor1d([1, 2]) });
  expect(Array.from(g.dataSync())).toEqual([9, 9 * 256]);
});
