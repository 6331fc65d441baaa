// Precision and XLA as options of a captured step, and its variables: made inside, shared, read and assigned between
// runs.
import tf, {
  type Scalar,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  type Tensor3D,
  type Tensor4D,
  type Variable,
} from '@tensorflow/tfjs';
import { readFileSync } from 'node:fs';
import { capture, type CaptureOptions } from './capture.ts';
import { type Engine, openEngine } from '../engine.ts';
import { createAdam } from '../training/optimizer.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
});
afterAll(() => engine.close());

const sines = (shape: [number, number], phase: number) =>
  tf.tensor2d(
    Float32Array.from({ length: shape[0] * shape[1] }, (_, i) => 1 + Math.sin(i * 12.9898 + phase)),
    shape,
  );

/** Three steps of gradient descent on the mean square of a matrix product. */
async function descend(options: CaptureOptions) {
  const w = tf.variable(sines([64, 32], 1));
  const step = capture(({ x }: { x: Tensor2D }) => {
    const { value, grads } = tf.variableGrads(
      () => tf.mean(tf.square(tf.matMul(x, w as unknown as Tensor2D))) as Scalar,
      [w],
    );
    w.assign(tf.sub(w, tf.mul(grads[w.name]!, 0.001)));
    return { loss: value, product: tf.matMul(x, w as unknown as Tensor2D) };
  }, options);
  const x = sines([48, 64], 2);
  const losses: number[] = [];
  let product: Float32Array = new Float32Array();
  for (let i = 0; i < 3; i++) {
    const outputs = await step({ x });
    losses.push(outputs.loss.dataSync()[0]!);
    product = outputs.product.dataSync() as Float32Array;
    expect(outputs.product.dtype).toBe('float32');
  }
  const backend = tf.backend() as unknown as {
    idOf(t: Tensor): number;
    engine: { typeOf(id: number): number };
  };
  const [report] = step.reports;
  return { losses, product, report: report!, type: backend.engine.typeOf(backend.idOf(w)), w: w.dataSync() };
}

/** Euclidean distance of two vectors divided by the norm of the first. */
function distance(a: Float32Array, b: ArrayLike<number>): number {
  const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(a.map((value, i) => value - b[i]!)) / norm(a);
}

const hasBfloat16 = () => {
  try {
    return /avx512_bf16|amx_bf16|avx_ne_convert|\bbf16\b/.test(readFileSync('/proc/cpuinfo', 'utf8'));
  } catch {
    return false;
  }
};

describe('precision', () => {
  it('mixed computes products in bfloat16 where the CPU has it, keeps weights in float32, and says why', async () => {
    const full = await descend({});
    const mixed = await descend({ precision: 'mixed' });
    expect(full.report).toMatchObject({ compute: 'float32', why: 'asked for' });
    expect(mixed.type).toBe(1); // DT_FLOAT
    if (!hasBfloat16()) {
      expect(mixed.report).toMatchObject({ compute: 'float32', why: expect.stringMatching(/has none of/) });
      expect(mixed.product).toEqual(full.product);
      return;
    }
    expect(mixed.report).toMatchObject({
      compute: 'bfloat16',
      why: expect.stringMatching(/^this CPU has \w+$/),
    });
    expect(distance(full.product, mixed.product)).toBeLessThan(0.02);
    expect(distance(full.product, mixed.product)).toBeGreaterThan(1e-5);
  });

  it('mixed keeps the weights and moments of Adam in full float32 precision', async () => {
    const w = tf.variable(sines([64, 32], 1));
    const adam = createAdam(new Map([['w', w]]), { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 });
    const step = capture(
      ({ x, rates }: { x: Tensor2D; rates: Tensor1D }) => {
        const f = () => tf.mean(tf.square(tf.matMul(x, w as unknown as Tensor2D))) as Scalar;
        const { value, grads } = tf.variableGrads(f, [w]);
        adam.update(grads, rates);
        return { loss: value };
      },
      { precision: 'mixed' },
    );
    await step({ x: sines([48, 64], 2), rates: adam.rates(1e-3, 1) });
    const { state } = adam.slots.get('w')!;
    // The lower 16 bits of a random float32 are all 0 with probability 1/65536; those of a bfloat16 number always are.
    for (const variable of [w, ...Object.values(state)]) {
      const full = Array.from(variable.dataSync()).filter((value) => (bits(value) & 0xffff) !== 0);
      expect(full.length).toBeGreaterThan(0.99 * variable.size);
    }
  });
});

const bits = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]!;

describe('jit', () => {
  it('gives the same numbers, and tells how long the first run took', async () => {
    const plain = await descend({});
    const compiled = await descend({ jit: true });
    compiled.losses.forEach((loss, i) => expect(Math.abs(loss / plain.losses[i]! - 1)).toBeLessThan(1e-4));
    expect(distance(plain.product, compiled.product)).toBeLessThan(1e-4);
    expect(distance(plain.w as Float32Array, compiled.w)).toBeLessThan(1e-4);
    expect(compiled.report.firstRunSeconds).toBeGreaterThan(0.01);
    expect(compiled.report.traceSeconds).toBeGreaterThan(0);
  });

  it('really uses XLA: an op that XLA does not support is rejected by name', async () => {
    const body = ({ x, filter }: { x: Tensor4D; filter: Tensor3D }) => ({
      y: tf.dilation2d(x, filter, 1, 'same'),
    });
    const inputs = { x: tf.ones<tf.Rank.R4>([1, 4, 4, 1]), filter: tf.zeros<tf.Rank.R3>([2, 2, 1]) };
    expect(Array.from((await capture(body)(inputs)).y.dataSync())).toEqual(Array(16).fill(1));
    await expect(capture(body, { jit: true })(inputs)).rejects.toMatchObject({
      code: 'tensorflow',
      message: expect.stringMatching(/XLA_CPU_JIT: Dilation2D/),
    });
    expect(tf.add(1, 1).dataSync()[0]).toBe(2);
  });
});

describe('variables', () => {
  const count = (counter: Variable) =>
    capture(() => {
      counter.assign(tf.add(counter, 1));
      return { seen: counter.clone() };
    });
  const run = async (step: () => Promise<{ seen: Tensor }>) => {
    const { seen } = await step();
    const [value] = seen.dataSync();
    seen.dispose();
    return value;
  };

  it('created at the first call get their initial values once', async () => {
    let counter: Variable | undefined;
    let calls = 0;
    const step = capture(({ start }: { start: Tensor }) => {
      calls++;
      counter ??= tf.variable(tf.mul(start, 2));
      counter.assign(tf.add(counter, 1));
      return { seen: counter.clone() };
    });
    const start = tf.scalar(5);
    const seen: number[] = [];
    for (let i = 0; i < 3; i++) seen.push((await step({ start })).seen.dataSync()[0]!);
    expect(seen).toEqual([11, 12, 13]);
    expect(calls).toBe(2);
    expect(counter!.dataSync()[0]).toBe(13);
  });

  it('are shared by two captured steps, and by eager code between them', async () => {
    const counter = tf.variable(tf.scalar(0));
    const [one, two] = [count(counter), count(counter)];
    expect(await run(() => one({}))).toBe(1);
    expect(await run(() => two({}))).toBe(2);
    expect(counter.dataSync()[0]).toBe(2);
    counter.assign(tf.add(counter, 10));
    expect(await run(() => one({}))).toBe(13);
    expect(await run(() => two({}))).toBe(14);
    one.dispose();
    expect(await run(() => two({}))).toBe(15);
    expect(counter.dataSync()[0]).toBe(15);
  });

  it('keep a value read between runs, and take an assigned value', async () => {
    const counter = tf.variable(tf.tensor1d([1, 2]));
    const step = count(counter);
    const alias = counter.clone();
    await run(() => step({}));
    const copy = counter.clone();
    const sum = tf.add(counter, 0);
    await run(() => step({}));
    expect([alias, copy, sum, counter].map((tensor) => Array.from(tensor.dataSync()))).toEqual([
      [1, 2],
      [2, 3],
      [2, 3],
      [3, 4],
    ]);
    counter.assign(tf.tensor1d([7, 8]));
    await run(() => step({}));
    expect(Array.from(counter.dataSync())).toEqual([8, 9]);
  });

  it('may be assigned from one another between runs and stay independent', async () => {
    const [a, b] = [tf.variable(tf.scalar(1)), tf.variable(tf.scalar(2))];
    const [stepA, stepB] = [count(a), count(b)];
    await run(() => stepA({}));
    await run(() => stepB({}));
    b.assign(a as unknown as Scalar);
    expect(await run(() => stepB({}))).toBe(3);
    expect([a.dataSync()[0], b.dataSync()[0]]).toEqual([2, 3]);
    expect(await run(() => stepA({}))).toBe(3);
    expect([a.dataSync()[0], b.dataSync()[0]]).toEqual([3, 3]);
  });
});

it('XLA compiles a long chain of ops, which needs hundreds of frames of stack', async () => {
  const LENGTH = 1500;
  const chain = ({ x }: { x: Tensor2D }) => {
    let y = x;
    for (let i = 0; i < LENGTH; i++) y = tf.add(y, x);
    return { y };
  };
  const { y } = await capture(chain, { jit: true })({ x: tf.ones([4, 4]) });
  expect(y.dataSync()[0]).toBe(LENGTH + 1);
});
