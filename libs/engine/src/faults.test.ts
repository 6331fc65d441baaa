// Each fault is one EngineError whose single line names the tfjs op, and the process can go on computing.
import tf, { type Tensor } from '@tensorflow/tfjs';
import { capture } from './capture/capture.ts';
import { type Engine, openEngine } from './engine.ts';
import { EngineError, isOutOfMemory } from './errors.ts';
import { faultOf } from './native/status.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
});
afterAll(() => engine.close());
afterEach(() => expect(tf.add(1, 1).dataSync()[0]).toBe(2));

describe('a wrong shape, which tfjs lets through, names op and shapes', () => {
  // An op as tfjs's own are made, but without a check.
  const product = tf.op({
    product_() {
      const inputs = { a: tf.ones([1, 2, 3]), b: tf.ones([1, 2, 3]) };
      return tf.engine().runKernel('BatchMatMul', inputs, { transposeA: false, transposeB: false }) as Tensor;
    },
  });

  it('eagerly', () => {
    expect(product).toThrow(
      expect.objectContaining({
        code: 'tensorflow',
        message: expect.stringMatching(/^tf\.product \(BatchMatMulV2\): .*\[1,2,3\].*\[1,2,3\][^\n]*$/),
      }),
    );
  });

  it('while a step is captured', async () => {
    await expect(capture(() => ({ y: product() }))({})).rejects.toMatchObject({
      code: 'tensorflow',
      message: expect.stringMatching(
        /^tf\.product \(BatchMatMulV2\) inside a captured step: Dimensions must be equal, but are 3 and 2, with input shapes: \[1,2,3\], \[1,2,3\]\.$/,
      ),
    });
  });
});

describe('checkNumerics', () => {
  const x = (value: number) => tf.scalar(value);

  it('names the op that gives a NaN, and only when it does', async () => {
    const step = capture(({ x }: { x: Tensor }) => ({ y: tf.mul(tf.log(x), 2) }), { checkNumerics: true });
    await expect(step({ x: x(-1) })).rejects.toMatchObject({
      code: 'not-finite',
      message: 'inside a captured step tf.log (Log) gave a value that is not finite: NaN',
    });
    expect((await step({ x: x(Math.E) })).y.dataSync()[0]).toBeCloseTo(2, 5);
  });

  it('names an op of the backward pass', async () => {
    const step = capture(({ x }: { x: Tensor }) => ({ y: tf.grad((x) => tf.sqrt(x))(x) }), {
      checkNumerics: true,
    });
    await expect(step({ x: x(0) })).rejects.toMatchObject({
      code: 'not-finite',
      message: 'inside a captured step tf.div (RealDiv) gave a value that is not finite: Inf',
    });
  });

  it('is refused with jit, which would leave it out', () => {
    expect(() => capture(() => ({}), { checkNumerics: true, jit: true })).toThrow(/XLA removes the checks/);
  });

  it('without it a NaN goes on', async () => {
    const { y } = await capture(({ x }: { x: Tensor }) => ({ y: tf.log(x) }))({ x: x(-1) });
    expect(y.dataSync()[0]).toBeNaN();
  });
});

it('a step that failed runs again', async () => {
  const w = tf.variable(tf.scalar(1));
  const step = capture(
    ({ x }: { x: Tensor }) => {
      w.assign(tf.add(w, tf.log(x)));
      return { y: w.clone() };
    },
    { checkNumerics: true },
  );
  const before = tf.memory().numTensors;
  const [bad, good] = [tf.scalar(-1), tf.scalar(Math.E)];
  await expect(step({ x: bad })).rejects.toMatchObject({ code: 'not-finite' });
  expect(w.dataSync()[0]).toBe(1);
  const { y } = await step({ x: good });
  expect(y.dataSync()[0]).toBeCloseTo(2, 5);
  expect(w.dataSync()[0]).toBeCloseTo(2, 5);
  tf.dispose([bad, good, y]);
  expect(tf.memory().numTensors).toBe(before);
  step.dispose();
});

describe("TensorFlow's text in one line", () => {
  const node = (name: string) => `{{function_node step_9_0}} it failed\n\t [[{{node ${name}}}]]`;

  it.each([
    [node('conv2d/Conv2D_12'), 'tf.conv2d (Conv2D) inside a captured step: it failed'],
    [node('step/Fill_3'), 'Fill inside a captured step: it failed'],
    [node('Func/x/add/AddV2_4-0-CastToBf16'), 'tf.add (AddV2) inside a captured step: it failed'],
    [node('weird'), 'an op inside a captured step: it failed'],
    [
      'it failed [Op:__inference_x_1] on /job:localhost/replica:0/task:0/device:GPU:1',
      'Mul: it failed on GPU:1',
    ],
    ['no memory\nHint: ask for more\n by allocator GPU_0_bfc', 'Mul: no memory'],
  ])('%j', (message, expected) => {
    expect(faultOf({ code: 3, message, doing: 'Mul' })).toMatchObject({
      code: 'tensorflow',
      message: expected,
    });
  });
});

it('out of memory is recognised by its code, in causes, and by the messages of CUDA libraries', () => {
  const fault = (code: number, message: string) => faultOf({ code, message, doing: 'Conv2D' });
  const exhausted = fault(8, 'OOM when allocating tensor with shape[1000000,1000000]');
  expect(isOutOfMemory(exhausted)).toBe(true);
  expect(isOutOfMemory(new Error('the member failed', { cause: exhausted }))).toBe(true);
  expect(isOutOfMemory(fault(13, 'Failed to create cuBLAS handle: CUBLAS_STATUS_ALLOC_FAILED'))).toBe(true);
  expect(isOutOfMemory(fault(13, 'CUDA_ERROR_OUT_OF_MEMORY: out of memory'))).toBe(true);
  expect(isOutOfMemory(fault(13, 'Dimensions must be equal'))).toBe(false);
  expect(isOutOfMemory(new EngineError('not-finite', 'RESOURCE_EXHAUSTED in a name'))).toBe(false);
  const circle = new Error('its own cause');
  circle.cause = circle;
  for (const other of [circle, undefined, null, 'OOM', { code: 'ENOSPC' }])
    expect(isOutOfMemory(other)).toBe(false);
});
