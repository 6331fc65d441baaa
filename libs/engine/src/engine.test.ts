import tf, { type Tensor1D, type Tensor4D } from '@tensorflow/tfjs';
import { activeBackend, tensorOfBytes } from './backend/backend.ts';
import { batchNormTraining } from './training/batch-norm.ts';
import { capture } from './capture/capture.ts';
import { type Engine, openEngine } from './engine.ts';

let engine: Engine | undefined;
const open = async (options?: Parameters<typeof openEngine>[0]) => (engine = await openEngine(options));
afterEach(() => {
  engine?.close();
  engine = undefined;
});

describe('devices', () => {
  it('computes on the device it was given: one of several CPU devices', async () => {
    await open({ device: { kind: 'cpu', index: 2, threads: 1 } });
    expect(engine!.devices).toHaveLength(3);
    const backend = activeBackend()!;
    const deviceOf = (tensor: tf.Tensor) => {
      const { api, status } = backend.engine.context;
      return api.TFE_TensorHandleBackingDeviceName(backend.engine.eager(backend.idOf(tensor)).handle, status);
    };
    expect(deviceOf(tf.add(tf.scalar(1), 1))).toMatch(/CPU:2$/);
    const { y } = await capture(({ x }: { x: tf.Tensor }) => ({ y: tf.add(x, 1) }))({ x: tf.scalar(1) });
    expect(deviceOf(y)).toMatch(/CPU:2$/);
  });

  it('rejects a missing device by name', async () => {
    await expect(openEngine({ device: { kind: 'gpu', index: 7 } })).rejects.toThrow(/no device gpu:7/);
  });

  it('opens one engine a thread', async () => {
    await open();
    await expect(openEngine()).rejects.toThrow(/already has an engine/);
  });
});

describe('tensors', () => {
  it('carries values of every type that tfjs has', async () => {
    await open();
    const double = (tensor: tf.Tensor) => Array.from(tf.tidy(() => tf.add(tensor, tensor).dataSync()));
    expect(double(tf.tensor1d([1.5, -2]))).toEqual([3, -4]);
    expect(double(tf.tensor1d([1, -2], 'int32'))).toEqual([2, -4]);
    expect(Array.from(tf.logicalNot(tf.tensor1d([true, false], 'bool')).dataSync())).toEqual([0, 1]);
    expect(Array.from(tf.real(tf.complex([1, 2], [3, 4])).dataSync())).toEqual([1, 2]);
    expect(tf.concat([tf.tensor1d(['a']), tf.tensor1d(['b'])]).dataSync()).toEqual(['a', 'b']);
  });

  it('has empty and 0-d tensors', async () => {
    await open();
    expect(tf.add(tf.zeros([0, 3]), 1).shape).toEqual([0, 3]);
    expect(tf.add(tf.scalar(1), 2).dataSync()[0]).toBe(3);
  });

  it("names the op in TensorFlow's errors, and remains usable", async () => {
    await open();
    const bad = () =>
      tf
        .engine()
        .runKernel(
          'BatchMatMul',
          { a: tf.ones([1, 2, 3]), b: tf.ones([1, 2, 3]) },
          { transposeA: false, transposeB: false },
        );
    expect(bad).toThrow(/BatchMatMul|Matrix size-incompatible/);
    expect(tf.add(1, 1).dataSync()[0]).toBe(2);
  });

  it('frees everything on close', async () => {
    const first = await open();
    tf.variable(tf.add(tf.ones([10]), 1));
    expect(first.tensors).toBeGreaterThan(0);
    first.close();
    engine = undefined;
    expect(first.tensors).toBe(0);
    await open();
    expect(engine!.tensors).toBe(0);
  });

  it('carries bytes as bytes: cast and transpose', async () => {
    await open();
    const bytes = tensorOfBytes(Uint8Array.from([0, 1, 2, 253, 254, 255]), [2, 3]);
    expect(Array.from(tf.cast(tf.transpose(bytes), 'float32').dataSync())).toEqual([0, 253, 1, 254, 2, 255]);
    const { y } = await capture(({ x }: { x: tf.Tensor }) => ({ y: tf.cast(tf.transpose(x), 'float32') }))({
      x: bytes,
    });
    expect(Array.from(y.dataSync())).toEqual([0, 253, 1, 254, 2, 255]);
  });
});

/** The same computation on TensorFlow and on tfjs's own CPU backend. */
async function onBoth<T>(compute: () => T): Promise<[T, T]> {
  await open({ engine: 'tensorflow', device: { kind: 'cpu', index: 0, threads: 1 } });
  const native = compute();
  engine!.close();
  await open({ engine: 'cpu' });
  const reference = compute();
  return [native, reference];
}

const values = (length: number, factor: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * factor) * 2);

function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance = 1e-4) {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++)
    expect(Math.abs(actual[i]! - expected[i]!)).toBeLessThan(tolerance);
}

describe("the engine's own kernels agree with tfjs's CPU backend", () => {
  it('batch normalisation in training, with its gradients', async () => {
    const compute = () =>
      tf.tidy(() => {
        const x = tf.tensor4d(values(2 * 3 * 3 * 4, 0.7), [2, 3, 3, 4]);
        const scale = tf.tensor1d([1, 0.5, -2, 3]);
        const offset = tf.tensor1d([0, 1, -1, 0.5]);
        const weight = tf.tensor4d(values(2 * 3 * 3 * 4, 1.3), [2, 3, 3, 4]);
        const { mean, variance } = batchNormTraining({ x, scale, offset, epsilon: 1e-5 });
        const running = { mean: scale, variance: tf.abs(scale) as Tensor1D, momentum: 0.25 };
        const moved = batchNormTraining({ x, scale, offset, epsilon: 1e-5, running });
        const f = (a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) =>
          tf.sum(
            tf.mul(
              weight,
              tf.square(
                batchNormTraining({
                  x: a as Tensor4D,
                  scale: b as Tensor1D,
                  offset: c as Tensor1D,
                  epsilon: 1e-5,
                }).y,
              ),
            ),
          ) as tf.Scalar;
        const { value, grads } = tf.valueAndGrads(f as never)([x, scale, offset]);
        const tensors = [mean, variance, moved.mean, moved.variance, moved.y, value, ...grads];
        return tensors.map((tensor) => Array.from(tensor.dataSync()));
      });
    const [native, reference] = await onBoth(compute);
    native.forEach((tensor, i) => expectClose(tensor, reference[i]!, 2e-3));
  });

  it('gives the unbiased variance: the numbers 1 … 8 have 6', async () => {
    await open();
    const x = tf.tensor4d([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2, 1]);
    const { mean, variance } = batchNormTraining({
      x,
      scale: tf.tensor1d([1]),
      offset: tf.tensor1d([0]),
      epsilon: 0,
    });
    expect(mean.dataSync()[0]).toBeCloseTo(4.5, 5);
    expect(variance.dataSync()[0]).toBeCloseTo(6, 5);
  });

  it.each([
    { kernel: 1, strides: 1, pad: 'same' },
    { kernel: 1, strides: 1, pad: 'valid' },
    { kernel: 1, strides: 2, pad: 'valid' },
    { kernel: 3, strides: 1, pad: 'same' },
  ] as const)('the gradients of a convolution %j', async ({ kernel, strides, pad }) => {
    const compute = () =>
      tf.tidy(() => {
        const x = tf.tensor4d(values(2 * 5 * 4 * 3, 0.7), [2, 5, 4, 3]);
        const filter = tf.tensor4d(values(kernel * kernel * 3 * 6, 1.1), [kernel, kernel, 3, 6]);
        const f = (a: tf.Tensor, b: tf.Tensor) =>
          tf.sum(tf.square(tf.conv2d(a as Tensor4D, b as Tensor4D, strides, pad))) as tf.Scalar;
        return tf
          .grads(f as never)([x, filter])
          .map((gradient) => Array.from(gradient.dataSync()));
      });
    const [native, reference] = await onBoth(compute);
    native.forEach((gradient, i) => expectClose(gradient, reference[i]!, 5e-3));
  });

  it('the gradient of ReLU', async () => {
    const compute = () =>
      tf.tidy(() =>
        Array.from(
          tf
            .grad((x) => tf.sum(tf.square(tf.relu(x))))(tf.tensor1d([-2, 0, 3]))
            .dataSync(),
        ),
      );
    const [native, reference] = await onBoth(compute);
    expect(native).toEqual(reference);
    expect(native).toEqual([0, 0, 6]);
  });
});

describe.each(['tensorflow', 'cpu'] as const)('tf.image.transform on the engine %s', (kind) => {
  /** Bilinear interpolation with zeros outside, written from the definition. */
  function transformed(image: Float32Array, [height, width, depth]: [number, number, number], t: number[]) {
    const at = (y: number, x: number, c: number) =>
      y < 0 || x < 0 || y >= height || x >= width ? 0 : image[(y * width + x) * depth + c]!;
    const out: number[] = [];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        for (let c = 0; c < depth; c++) {
          const fromX = t[0]! * x + t[1]! * y + t[2]!;
          const fromY = t[3]! * x + t[4]! * y + t[5]!;
          const [x0, y0] = [Math.floor(fromX), Math.floor(fromY)];
          const [fx, fy] = [fromX - x0, fromY - y0];
          const top = (1 - fx) * at(y0, x0, c) + fx * at(y0, x0 + 1, c);
          const bottom = (1 - fx) * at(y0 + 1, x0, c) + fx * at(y0 + 1, x0 + 1, c);
          out.push((1 - fy) * top + fy * bottom);
        }
      }
    }
    return out;
  }

  it('transforms every image of a batch by its own matrix', async () => {
    await open({ engine: kind });
    const turns = [[0.9, -0.3, 1, 0.3, 0.9, -0.5, 0, 0], [-1, 0, 4, 0, 1, 0, 0, 0]]; // prettier-ignore
    const pixels = values(2 * 6 * 5 * 3, 0.9);
    const tensors = tf.memory().numTensors;
    const result = tf.tidy(() =>
      tf.image
        .transform(tf.tensor4d(pixels, [2, 6, 5, 3]), tf.tensor2d(turns), 'bilinear', 'constant')
        .dataSync(),
    );
    expect(tf.memory().numTensors).toBe(tensors);
    const expected = turns.flatMap((turn, i) =>
      transformed(pixels.subarray(i * 90, i * 90 + 90), [6, 5, 3], turn),
    );
    expectClose(result, expected);
  });

  it('reflects at the border: d c b a | a b c d | d c b a', async () => {
    await open({ engine: kind });
    const row = tf.tensor4d([1, 2, 3, 4], [1, 1, 4, 1]);
    const shifted = tf.image.transform(row, tf.tensor2d([[1, 0, -2, 0, 1, 0, 0, 0]]), 'bilinear', 'reflect');
    expect(Array.from(shifted.dataSync())).toEqual([2, 1, 1, 2]);
  });
});
