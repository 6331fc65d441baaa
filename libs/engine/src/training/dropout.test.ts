// Dropout by a seed that is an input: share of zeros, scale, gradient, and what makes draws equal or different.
import tf, { type Tensor, type Tensor1D } from '@tensorflow/tfjs';
import { capture } from '../capture/capture.ts';
import { dropout } from './dropout.ts';
import { type Engine, type EngineKind, openEngine } from '../engine.ts';

const SIZE = 20_000;
const seed = (a: number, b: number) => tf.tensor1d([a, b], 'int32');

/** Which of SIZE ones stay, and the values. */
function drop(rate: number, numbers: Tensor1D, layer: number): Float32Array {
  return tf.tidy(() => dropout(tf.ones([SIZE]), { rate, seed: numbers, layer }).dataSync() as Float32Array);
}

let engine: Engine | undefined;
afterEach(() => {
  engine?.close();
  engine = undefined;
});

describe.each<EngineKind>(['tensorflow', 'cpu'])('on the engine %s', (kind) => {
  beforeEach(async () => {
    engine = await openEngine({ engine: kind });
  });

  it.each([0.1, 0.5, 0.8])('drops a share of %d and divides the others by what stays', (rate) => {
    const values = drop(rate, seed(3, 4), 0);
    const kept = values.filter((value) => value !== 0);
    // Five standard deviations of a binomial distribution.
    const tolerance = 5 * Math.sqrt((rate * (1 - rate)) / SIZE);
    expect(Math.abs(1 - kept.length / SIZE - rate)).toBeLessThan(tolerance);
    expect(new Set(kept)).toEqual(new Set([Math.fround(1 / (1 - rate))]));
  });

  it('draws by seed and layer alone', () => {
    const first = drop(0.5, seed(3, 4), 0);
    const agreement = (other: Float32Array) => other.filter((value, i) => value === first[i]).length / SIZE;
    expect(agreement(drop(0.5, seed(3, 4), 0))).toBe(1);
    // Independent draws of one half agree in one half of the places.
    for (const other of [drop(0.5, seed(3, 5), 0), drop(0.5, seed(4, 4), 0), drop(0.5, seed(3, 4), 1)])
      expect(Math.abs(agreement(other) - 0.5)).toBeLessThan(0.02);
  });

  it('passes the gradient where it passes the value', () => {
    const x = tf.ones([SIZE]);
    const options = { rate: 0.5, seed: seed(3, 4), layer: 0 };
    const gradient = tf.grad((x: Tensor) => dropout(x, options))(x);
    expect(gradient.dataSync()).toEqual(dropout(x, options).dataSync());
  });

  it('is nothing at rate 0', () => {
    const x = tf.ones([2]);
    expect(dropout(x, { rate: 0, seed: seed(1, 2), layer: 0 })).toBe(x);
  });
});

it('inside a captured step the seed is an input: every run draws anew, as the same step does eagerly', async () => {
  engine = await openEngine();
  let calls = 0;
  const body = ({ x, numbers }: { x: Tensor; numbers: Tensor1D }) => {
    calls++;
    return { y: dropout(x, { rate: 0.3, seed: numbers, layer: 2 }) };
  };
  const step = capture(body);
  const x = tf.ones([SIZE]);
  const runs: Tensor[] = [];
  for (const numbers of [seed(1, 1), seed(1, 2), seed(1, 1)]) runs.push((await step({ x, numbers })).y);
  expect(calls).toBe(1);
  const [first, second, third] = runs.map((y) => y.dataSync());
  expect(third).toEqual(first);
  expect(second).not.toEqual(first);
  expect(first).toEqual(body({ x, numbers: seed(1, 1) }).y.dataSync());
});
