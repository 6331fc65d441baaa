// Reference values from PyTorch in float64, for weights and inputs that are made of their names alone.
import { hash32, readJson } from '@ct-ensemble/core';
import tf, { type Tensor1D, type Tensor4D } from '@tensorflow/tfjs';
import { fileURLToPath } from 'node:url';
import { pytorchShape, type Parameters } from '../parameters.ts';
import type { Model } from '../registry.ts';
import type { StoredTensor } from '../safetensors.ts';
import { importTensors } from '../weights.ts';

export interface Golden {
  /** N, C, H, W. */
  shape: [number, number, number, number];
  labels: number[];
  parameters: number;
  evalLogits: number[][];
  /** After one forward pass in training mode. */
  evalLogitsAfterTrainForward: number[][];
  /** Focal loss in training mode. */
  firstLoss: number;
  /** Of that loss, by state-dict name: L2 norm and sum. */
  gradients: Record<string, [norm: number, sum: number]>;
}

/** The goldens of this package. */
export async function readFixture(net: string) {
  const file = new URL(`../fixtures/${net}.json`, import.meta.url);
  return (await readJson(fileURLToPath(file))) as Golden & { stateDict: Record<string, number[]> };
}

/** The goldens beside the checkout; undefined where there are none. */
export async function readSharedGolden(net: string): Promise<Golden | undefined> {
  const shared =
    process.env['CT_ENSEMBLE_SHARED'] ?? fileURLToPath(new URL('../../../../../shared', import.meta.url));
  const goldens = (await readJson(`${shared}/goldens/goldens.json`)) as
    { nets: Record<string, Golden> } | undefined;
  return goldens?.nets[net];
}

/** Fills every parameter from its name. */
export function fillGolden(parameters: Parameters, net: string) {
  const tensors = new Map<string, StoredTensor>();
  for (const { name, layout, variable } of parameters.byName.values()) {
    const shape = pytorchShape(variable.shape, layout);
    const u = uniformOf(`golden/${net}/${name}`);
    const data = new Float32Array(variable.size).map(valueRule(name, shape, u));
    tensors.set(name, { dtype: 'F32', shape, data });
  }
  importTensors(parameters, tensors);
}

/** [N, H, W, C] in [0, 1). */
export function goldenInput(net: string, shape: Golden['shape']): Tensor4D {
  const u = uniformOf(`golden/input/${net}`);
  const nchw = new Float32Array(tf.util.sizeFromShape(shape)).map(() => (u() + 1) / 2);
  return tf.tidy(() => tf.transpose(tf.tensor4d(nchw, shape), [0, 2, 3, 1]));
}

function valueRule(name: string, shape: readonly number[], u: () => number): () => number {
  if (shape.length > 1) {
    const bound = Math.sqrt(3 / shape.slice(1).reduce((product, size) => product * size, 1));
    return () => u() * bound;
  }
  if (name.endsWith('.running_var')) return () => 1 + 0.5 * Math.abs(u());
  if (name.endsWith('.weight')) return () => 1 + 0.1 * u();
  return () => 0.1 * u();
}

const { imul } = Math; // in Jest, looking up a global is slow

/** mulberry32, seeded with the name, mapped to [−1, 1). */
function uniformOf(name: string): () => number {
  let state = hash32(name) | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = imul(state ^ (state >>> 15), 1 | state);
    t = (t + imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (2 * ((t ^ (t >>> 14)) >>> 0)) / 2 ** 32 - 1;
  };
}

/** What the goldens hold, computed by a model of ours that `fillGolden` has filled. */
export function runGolden(model: Model, net: string, { shape, labels }: Golden) {
  return tf.tidy(() => {
    const x = goldenInput(net, shape);
    const evalLogits = model.forward(x, { training: false }).arraySync();
    const { value, grads } = tf.variableGrads(
      () => focalLoss(model.forward(x, { training: true }), labels),
      model.parameters.trainable().map(({ variable }) => variable),
    );
    const gradients: Golden['gradients'] = {};
    for (const { name, variable } of model.parameters.trainable()) {
      const gradient = grads[variable.name]!;
      gradients[name] = [
        tf.sqrt(tf.sum(tf.square(gradient))).dataSync()[0]!,
        tf.sum(gradient).dataSync()[0]!,
      ];
    }
    const evalLogitsAfterTrainForward = model.forward(x, { training: false }).arraySync();
    return { evalLogits, evalLogitsAfterTrainForward, firstLoss: value.dataSync()[0]!, gradients };
  });
}

/** Mean of (1 − p)^1.5 · cross entropy, p the probability of the true class; the gradient goes through p too. */
function focalLoss(logits: ReturnType<Model['forward']>, labels: readonly number[]) {
  const truth = tf.oneHot(tf.tensor1d([...labels], 'int32'), logits.shape[1]);
  const crossEntropy: Tensor1D = tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), truth), 1));
  return tf.mean(tf.mul(tf.pow(tf.sub(1, tf.exp(tf.neg(crossEntropy))), 1.5), crossEntropy)).asScalar();
}

/** |a − b| / |b|, the median over the parameters' gradient norms. */
export function medianNormError(gradients: Golden['gradients'], expected: Golden['gradients']): number {
  const errors = Object.entries(expected).map(
    ([name, [norm]]) => Math.abs(gradients[name]![0] - norm) / norm,
  );
  return errors.sort((a, b) => a - b)[errors.length >> 1]!;
}

/** The greatest |a − b|. */
export function greatestError(a: number[][], b: number[][]): number {
  return Math.max(...b.flatMap((row, i) => row.map((value, j) => Math.abs(a[i]![j]! - value))));
}
