import tf, { type Scalar, type Tensor2D, type Variable } from '@tensorflow/tfjs';
import { capture, captureAlike } from './capture.ts';
import { type Engine, openEngine } from '../engine.ts';

let engine: Engine;
beforeAll(async () => {
  engine = await openEngine({ device: { kind: 'cpu', index: 0, threads: 1 } });
});
afterAll(() => engine.close());

/** One gradient descent step of a linear regression with loss = mean((x·w − y)²). */
function regression(w: Variable) {
  return ({ x, y, rate }: { x: Tensor2D; y: Tensor2D; rate: Scalar }) => {
    const { value, grads } = tf.variableGrads(
      () => tf.mean(tf.squaredDifference(tf.matMul(x, w as unknown as Tensor2D), y)) as Scalar,
      [w],
    );
    w.assign(tf.sub(w, tf.mul(rate, grads[w.name]!)));
    return { loss: value };
  };
}
const batch = () => ({ x: tf.tensor2d([[1, 2], [3, 4], [5, 6]]), y: tf.tensor2d([[1], [0], [2]]) }); // prettier-ignore

/** The same in plain JavaScript numbers: the losses of steps from w = (0, 0) with the given learning rates. */
function expectedLosses(rates: number[]): number[] {
  const x = [[1, 2], [3, 4], [5, 6]] as const; // prettier-ignore
  const y = [1, 0, 2];
  let w = [0, 0];
  return rates.map((rate) => {
    const errors = x.map(([a, b], i) => a * w[0]! + b * w[1]! - y[i]!);
    const gradient = [0, 1].map(
      (k) => (2 / 3) * errors.reduce((sum, error, i) => sum + error * x[i]![k]!, 0),
    );
    w = w.map((value, k) => value - rate * gradient[k]!);
    return errors.reduce((sum, error) => sum + error * error, 0) / 3;
  });
}

async function run(step: (inputs: ReturnType<typeof batch> & { rate: Scalar }) => unknown, rates: number[]) {
  const losses: number[] = [];
  for (const rate of rates) {
    const inputs = { ...batch(), rate: tf.scalar(rate) };
    const { loss } = (await step(inputs)) as { loss: Scalar };
    losses.push((await loss.data())[0]!);
    tf.dispose([inputs.x, inputs.y, inputs.rate, loss]);
  }
  return losses;
}

describe('a captured step', () => {
  const rates = [0.01, 0.02, 0.005, 0.01];

  it('gives the losses of the same step run eagerly and of plain numbers; the rate is an input', async () => {
    const captured = capture(regression(tf.variable(tf.zeros([2, 1]))));
    const eager = await run(regression(tf.variable(tf.zeros([2, 1]))), rates);
    const losses = await run(captured, rates);
    expect(losses).toEqual(eager);
    expectedLosses(rates).forEach((loss, i) => expect(losses[i]).toBeCloseTo(loss, 5));
    expect(captured.reports).toHaveLength(1);
  });

  it('traces anew for other shapes and types, and only then', async () => {
    let calls = 0;
    const double = capture(({ x }: { x: tf.Tensor }) => {
      calls++;
      return { y: tf.mul(x, tf.scalar(2, x.dtype)) };
    });
    for (const x of [tf.ones([2]), tf.ones([3]), tf.zeros([2]), tf.ones([2], 'int32')]) {
      const { y } = await double({ x });
      expect(Array.from(await y.data())).toEqual(Array.from(await x.data(), (value) => 2 * value));
    }
    expect(calls).toBe(3);
  });

  it('sees what is assigned to a variable from outside, and keeps other tensors as they were', async () => {
    const v = tf.variable(tf.scalar(1));
    const constant = tf.scalar(10);
    const step = capture(() => ({ y: tf.add(v, constant) }));
    expect((await (await step({})).y.data())[0]).toBe(11);
    v.assign(tf.scalar(5));
    constant.dispose();
    expect((await (await step({})).y.data())[0]).toBe(15);
  });

  it('may return an input, a variable and one tensor twice', async () => {
    const v = tf.variable(tf.scalar(3));
    const step = capture(({ x }: { x: tf.Tensor }) => ({ x, v: v.clone(), again: x }));
    const { x, v: out, again } = await step({ x: tf.scalar(4) });
    expect([x, out, again].map((tensor) => tensor!.dataSync()[0])).toEqual([4, 3, 4]);
  });

  it('keeps the event loop free while it runs', async () => {
    const heavy = capture(({ x }: { x: tf.Tensor2D }) => {
      let y: tf.Tensor2D = x;
      for (let i = 0; i < 60; i++) y = tf.matMul(y, x);
      return { y: tf.mean(y) };
    });
    const x = tf.fill([700, 700], 1e-3) as Tensor2D;
    (await heavy({ x })).y.dispose();
    const started = performance.now();
    let last = started;
    let longestBlock = 0;
    const tick = () => {
      longestBlock = Math.max(longestBlock, performance.now() - last);
      last = performance.now();
    };
    const timer = setInterval(tick, 5);
    (await heavy({ x })).y.dispose();
    const elapsed = performance.now() - started;
    clearInterval(timer);
    tick();
    // A blocked event loop could not run the timer until the end. Half leaves room for a loaded machine.
    expect(longestBlock).toBeLessThan(elapsed / 2);
  });

  it('leaves no tensor behind', async () => {
    const step = capture(regression(tf.variable(tf.zeros([2, 1]))));
    await run(step, [0.01]);
    const before = { engine: engine.tensors, tfjs: tf.memory().numTensors };
    await run(
      step,
      Array.from({ length: 50 }, () => 0.01),
    );
    expect({ engine: engine.tensors, tfjs: tf.memory().numTensors }).toEqual(before);
  });

  it('frees its functions and what it captured', async () => {
    const before = engine.tensors;
    const step = capture(({ x }: { x: tf.Tensor }) => ({ y: tf.add(x, 1) }));
    const x = tf.scalar(1);
    (await step({ x })).y.dispose();
    x.dispose();
    step.dispose();
    expect(engine.tensors).toBe(before);
    expect(step.reports).toHaveLength(0);
  });
});

describe('a step that cannot be captured says what to do', () => {
  const v = () => tf.variable(tf.scalar(1));
  it.each<[string, () => unknown, RegExp]>([
    [
      'reads a variable',
      () => ({ y: tf.scalar(v0.dataSync()[0]!) }),
      /values were read inside a captured step.*return the tensor/,
    ],
    ['reads a result', () => ({ y: tf.scalar(tf.add(v0, 1).dataSync()[0]!) }), /values were read/],
    [
      'draws with tfjs',
      () => ({ y: tf.randomNormal([2]) }),
      /tf\.randomNormal draws random numbers.*as an input/,
    ],
    [
      'draws with a seed',
      () => ({ y: tf.randomUniform([2], 0, 1, 'float32', 7) }),
      /tf\.randomUniform draws/,
    ],
    ['drops out', () => ({ y: tf.dropout(tf.ones([4]), 0.5, undefined, 7) }), /tf\.randomUniform draws/],
    ['draws by itself', () => ({ y: tf.scalar(Math.random()) }), /Math\.random draws/],
    ['creates a variable', () => ({ y: v() }), /creates variables at every call .*create them before/],
    ['returns a promise', () => Promise.resolve({}), /returns a promise/],
    ['returns a number', () => ({ y: 1 }), /must return an object of tensors/],
    [
      'has a shape that depends on values',
      () => ({ y: tf.engine().runKernel('Unique', { x: tf.add(v0.flatten(), 1) }, { axis: 0 }) }),
      /shape depends on values|object of tensors/,
    ],
  ])('%s', async (_name, step, message) => {
    const before = { value: v0.dataSync()[0], tensors: tf.memory().numTensors };
    await expect(capture(step as () => tf.NamedTensorMap)({})).rejects.toThrow(message);
    expect({ value: v0.dataSync()[0], tensors: tf.memory().numTensors }).toEqual(before);
    expect(tf.add(v0, 1).dataSync()[0]).toBe(2);
  });

  let v0: Variable;
  beforeAll(() => void (v0 = v()));

  it('restores the variables that it had assigned', async () => {
    const w = tf.variable(tf.scalar(1));
    const step = capture(() => {
      w.assign(tf.add(w, 1));
      throw new Error('the step itself fails');
    });
    await expect(step({})).rejects.toThrow('the step itself fails');
    expect(w.dataSync()[0]).toBe(1);
  });

  it('a tensor of a captured step used outside of it', async () => {
    let leaked: tf.Tensor | undefined;
    await capture(({ x }: { x: tf.Tensor }) => {
      leaked = tf.keep(tf.add(x, 1));
      return { y: tf.add(leaked, 1) };
    })({ x: tf.scalar(1) });
    expect(() => leaked!.dataSync()).toThrow(/inside a captured step was used outside/);
  });

  it('a disposed variable', async () => {
    const w = tf.variable(tf.scalar(1));
    const step = capture(() => ({ y: tf.add(w, 1) }));
    (await step({})).y.dispose();
    w.dispose();
    await expect(step({})).rejects.toThrow(/was disposed.*capture the step again/);
  });
});

describe('steps that are alike', () => {
  const line = (weight: number, bias: number) => {
    const variables = [tf.variable(tf.tensor2d([[weight], [2 * weight]])), tf.variable(tf.tensor1d([bias]))];
    const [w, b] = variables as [Variable, Variable];
    const step = ({ x }: { x: Tensor2D }) => ({
      y: tf.add(tf.matMul(x, w as unknown as Tensor2D), b as unknown as Tensor2D) as Tensor2D,
    });
    return { step, variables };
  };
  const x = () => tf.tensor2d([[1, 1], [2, 0]]); // prettier-ignore

  it('are recorded once, and each gives the values of its own variables, also after these have changed', async () => {
    const lines = [line(1, 0), line(10, 5), line(-1, 0.5)];
    const steps = captureAlike(lines);
    const values = async () => {
      const input = x();
      const results = await steps({ x: input });
      const numbers = await Promise.all(results.map(({ y }) => y.data()));
      tf.dispose([input, ...results.map(({ y }) => y)]);
      return numbers.map((each) => [...each]);
    };
    expect(await values()).toEqual([[3, 2], [35, 25], [-2.5, -1.5]]); // prettier-ignore
    const before = tf.memory().numTensors;
    const seven = tf.tensor1d([7]);
    (lines[1]!.variables as unknown as Variable[])[1]!.assign(seven);
    seven.dispose();
    expect(await values()).toEqual([[3, 2], [37, 27], [-2.5, -1.5]]); // prettier-ignore
    expect(tf.memory().numTensors).toBe(before);
    expect(steps.reports).toHaveLength(1);
    steps.dispose();
  });

  it('must have equal variables, and assign none', async () => {
    const other = { ...line(1, 0), variables: [tf.variable(tf.zeros([3, 1]))] };
    expect(() => captureAlike([line(1, 0), other])).toThrow(/different variables/);
    expect(() => captureAlike([])).toThrow(/no step/);
    const counting = () => {
      const count = tf.variable(tf.scalar(0));
      const step = ({ x }: { x: Tensor2D }) => {
        count.assign(tf.add(count, 1) as Scalar);
        return { y: tf.add(x, count) as Tensor2D };
      };
      return { step, variables: [count] };
    };
    const input = x();
    await expect(captureAlike([counting(), counting()])({ x: input })).rejects.toThrow(/assigns variables/);
    input.dispose();
  });
});
