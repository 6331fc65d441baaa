// Adam against PyTorch 2.15 in float64: loss = Σ factors · p³, p from (0.5, −1, 2); the third update with a tenth of the rate.
import tf, { type NamedTensorMap, type Scalar, type Tensor1D, type Variable } from '@tensorflow/tfjs';
import { capture } from '../capture/capture.ts';
import { type Engine, type EngineKind, openEngine } from '../engine.ts';
import { type AdamOptions, createAdam } from './optimizer.ts';

let engine: Engine | undefined;
afterEach(() => {
  engine?.close();
  engine = undefined;
});

const start = [0.5, -1, 2];
const factors = [1, -2, 0.5];
const rates = [0.01, 0.01, 0.001];
const base = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };

function lossAndGradients(variable: Variable): { value: Scalar; grads: NamedTensorMap } {
  const f = () => tf.sum(tf.mul(tf.pow(variable, 3), tf.tensor1d(factors))) as Scalar;
  return tf.variableGrads(f, [variable]);
}

/** The weights after each update, and what else the optimizer keeps or tells. */
async function run(kind: EngineKind, options: AdamOptions, captured: boolean) {
  engine = await openEngine({ engine: kind });
  const variable = tf.variable(tf.tensor1d(start));
  const adam = createAdam(new Map([['p', variable]]), options);
  const update = ({ rates }: { rates: Tensor1D }) => {
    const { grads } = lossAndGradients(variable);
    return { ...adam.update(grads, rates), weights: variable.clone() };
  };
  const gather = () => {
    adam.accumulate(lossAndGradients(variable).grads);
    return {};
  };
  const steps = captured ? ([capture(gather), capture(update)] as const) : ([gather, update] as const);
  const path: number[][] = [];
  const norms: number[] = [];
  for (const [i, rate] of rates.entries()) {
    for (let k = 1; k < (options.accumulate ?? 1); k++) await steps[0]({});
    const output = (await steps[1]({ rates: adam.rates(rate, i + 1) })) as Record<string, tf.Tensor>;
    path.push(Array.from(output['weights']!.dataSync()));
    expect(Array.from(variable.dataSync())).toEqual(path.at(-1));
    if (output['gradientNorm']) norms.push(output['gradientNorm'].dataSync()[0]!);
  }
  return { path, norms, slots: adam.slots.get('p')!, average: adam.averages.get('p')?.average };
}

function expectClose(actual: number[][], expected: number[][]) {
  expect(actual).toHaveLength(expected.length);
  actual.flat().forEach((value, i) => expect(value).toBeCloseTo(expected.flat()[i]!, 6));
}

/** Made by torch.optim.Adam, AdamW(weight_decay=0.1) and clip_grad_norm_(1.0) in float64. */
const pytorch = {
  adam: [
    [0.49000000013333334, -0.9900000000166667, 1.9900000000166667],
    [0.4800125683430032, -0.9800057439714254, 1.9800027387139132],
    [0.47901595208190545, -0.9790072819926637, 1.9790034701407822],
  ],
  adamw: [
    [0.48950000013333334, -0.9890000000166667, 1.9880000000166667],
    [0.47902381122377996, -0.978017377319805, 1.9760153183269675],
    [0.47797949260433203, -0.9769212832002545, 1.974818603020811],
  ],
  clipped: [
    [0.4953178737695369, -0.9912432234340178, 1.9912432234340178],
    [0.49064341598240857, -0.9824898519176114, 1.9824830398695263],
    [0.4901767912738464, -0.9816149294971306, 1.9816066140102067],
  ],
  norms: [8.51836251870041, 8.406595990856564, 8.295830891173413],
};

describe.each([
  ['tensorflow', true],
  ['tensorflow', false],
  ['cpu', false],
] as const)('on the engine %s, captured: %s', (kind, captured) => {
  it('is torch.optim.Adam', async () => {
    expectClose((await run(kind, base, captured)).path, pytorch.adam);
  });

  it('decays weights as torch.optim.AdamW', async () => {
    expectClose((await run(kind, { ...base, weightDecay: 0.1 }, captured)).path, pytorch.adamw);
  });

  it('clips the norm of all gradients as torch.nn.utils.clip_grad_norm_, and tells it', async () => {
    const { path, norms } = await run(kind, { ...base, epsilon: 0.1, clipNorm: 1 }, captured);
    expectClose(path, pytorch.clipped);
    norms.forEach((norm, i) => expect(norm).toBeCloseTo(pytorch.norms[i]!, 4));
  });

  it('takes the mean of accumulated gradients: of equal ones, the same path', async () => {
    const { path, slots } = await run(kind, { ...base, accumulate: 3 }, captured);
    expectClose(path, pytorch.adam);
    expect(Array.from(slots.sum!.dataSync())).toEqual([0, 0, 0]);
  });

  it('averages the weights after each update', async () => {
    const { path, average: kept } = await run(kind, { ...base, averageDecay: 0.75 }, captured);
    let average = start;
    for (const weights of path) average = average.map((value, i) => 0.75 * value + 0.25 * weights[i]!);
    expectClose([Array.from(kept!.dataSync())], [average]);
  });
});

it('leaves a clone of a weight as it was when the weight is updated in place', async () => {
  engine = await openEngine();
  const variable = tf.variable(tf.tensor1d(start));
  const adam = createAdam(new Map([['p', variable]]), base);
  const step = capture(({ rates }: { rates: Tensor1D }) => {
    const { value, grads } = lossAndGradients(variable);
    adam.update(grads, rates);
    return { loss: value };
  });
  await step({ rates: adam.rates(0.01, 1) });
  const copy = variable.clone();
  const values = Array.from(copy.dataSync());
  await step({ rates: adam.rates(0.01, 2) });
  expect(Array.from(copy.dataSync())).toEqual(values);
  expect(Array.from(variable.dataSync())).not.toEqual(values);
});

it('names a variable that the loss does not reach', async () => {
  engine = await openEngine();
  const adam = createAdam(new Map([['classifier.bias', tf.variable(tf.scalar(1))]]), base);
  expect(() => adam.update({}, adam.rates(0.01, 1))).toThrow('the loss does not reach classifier.bias');
});

it('leaves no tensor behind when it is not captured', async () => {
  engine = await openEngine();
  const variable = tf.variable(tf.tensor1d(start));
  const adam = createAdam(new Map([['p', variable]]), {
    ...base,
    clipNorm: 1,
    accumulate: 2,
    averageDecay: 0.9,
  });
  const once = () =>
    tf.tidy(() => {
      adam.accumulate(lossAndGradients(variable).grads);
      adam.update(lossAndGradients(variable).grads, adam.rates(0.01, 1)).gradientNorm!.dispose();
    });
  once();
  const before = { tfjs: tf.memory().numTensors, engine: engine.tensors };
  once();
  expect({ tfjs: tf.memory().numTensors, engine: engine.tensors }).toEqual(before);
});
