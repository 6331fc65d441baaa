// Goldens: reference values computed by PyTorch in float64. No file of weights is needed, because every weight and input value
// is a function of a seed and of the name of its parameter.
import { hash32, messageOf, readJson, UserError } from '@ct-ensemble/core';
import tf, { type Tensor, type Tensor1D, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { pytorchShape, type Parameters } from './weights/parameters.ts';
import { architectureOf, buildNetwork, type Model } from './registry.ts';
import type { StoredTensor } from './weights/safetensors.ts';
import { importTensors } from './weights/weights.ts';

const logits = z.union([z.array(z.array(z.number()).min(1)).min(1), z.array(z.number()).min(1)]);

const goldenSchema = z.object({
  /** Shape of the input: N, C, H, W. */
  shape: z.tuple([z.int().positive(), z.int().positive(), z.int().positive(), z.int().positive()]),
  /**
   * Classifier: the class of each image. Segmenter: a text for people; the target is always 1 where the mean of the input's
   * channels is above 0.5, and 0 elsewhere.
   */
  labels: z.union([z.array(z.int().nonnegative()), z.string()]),
  /** Slices of each view. Default for a network with two views: two thirds and one third of C; with one view: C. */
  views: z.array(z.int().positive()).max(2).optional(),
  /** Number of trainable parameters. */
  parameters: z.int().positive(),
  /**
   * Logits in evaluation mode. Segmenter: every k-th value of the output flattened as N, C, H, W, with
   * k = ⌊size of the output / number of values⌋.
   */
  evalLogits: logits,
  /** The same after one forward pass in training mode, which moves the running statistics. */
  evalLogitsAfterTrainForward: logits,
  /** Loss in training mode: focal loss with γ 1.5; for a segmenter binary cross entropy on logits. */
  firstLoss: z.number(),
  /** Gradient of that loss with respect to each parameter, by state-dict name: its L2 norm and its sum. */
  gradients: z.record(z.string(), z.tuple([z.number(), z.number()])),
  /** How far PyTorch's own float32 results are from these values. */
  float32Deviation: z
    .object({
      evalLogits: z.number(),
      evalLogitsAfterTrainForward: z.number(),
      firstLoss: z.number(),
      gradientNormMedianRelative: z.number(),
    })
    .partial()
    .optional(),
});

const fileSchema = z.object({
  /** First part of every name that values are drawn from. */
  seed: z
    .union([z.string().min(1), z.int()])
    .transform(String)
    .default('golden'),
  nets: z.record(z.string(), goldenSchema),
});

/** The reference values of one network. */
export type Golden = z.infer<typeof goldenSchema>;

/** A goldens file. `seed` is `golden` where the file has none; `nets` maps a network's name to its reference values. */
export type Goldens = z.infer<typeof fileSchema>;

/**
 * What the values of a network are drawn from: a parameter's values from the name `<seed>/<net>/<state-dict name>`, the input
 * from `<seed>/input/<net>`.
 */
export interface GoldenKey {
  seed: string;
  net: string;
}

/** Path of the goldens file of the six full-size networks, which lies beside the checkout. */
export const sharedGoldens =
  (process.env['CT_ENSEMBLE_SHARED'] ?? fileURLToPath(new URL('../../../../shared', import.meta.url))) +
  '/goldens/goldens.json';

/**
 * Reads a goldens file; returns undefined if the file does not exist.
 * @throws {UserError} if the file is not JSON, or lacks a field or has a wrong value in one.
 */
export async function readGoldens(file: string): Promise<Goldens | undefined> {
  const remedy =
    'give a file in the format of goldens.json: { "seed": "golden", "nets": { "<network>": { … } } }';
  let value: unknown;
  try {
    value = await readJson(file);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(messageOf(error), { file, remedy, cause: error });
  }
  if (value === undefined) return undefined;
  const parsed = fileSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UserError(`${issue!.path.join('.')}: ${issue!.message}`, { file, remedy });
}

/** One error measure of a comparison, and the largest value that is accepted. */
export interface Figure {
  name: 'evalLogits' | 'evalLogitsAfterTrainForward' | 'firstLoss' | 'gradientMedian' | 'gradient95';
  value: number;
  limit: number;
}

/** The result of comparing one network with its reference values. */
export interface Comparison {
  net: string;
  /** Number of trainable parameters of the network here, and according to the goldens. */
  parameters: number;
  expectedParameters: number;
  figures: Figure[];
  /** Whether the numbers of parameters are equal and every figure is within its limit. */
  ok: boolean;
}

/**
 * Builds a network on tfjs's current backend, fills it with the values that its key determines, and compares its results with
 * the goldens. The figures are: the greatest absolute difference of a logit; the relative error of the loss; the median and the
 * 95th percentile of the relative errors of the gradients' norms, over those gradients whose norm exceeds 1e-3 of the largest.
 * If PyTorch's own float32 deviates by more than a limit, the limit is three times that deviation.
 *
 * @throws {UserError} for an unknown network, and if the goldens name a gradient that the network does not have.
 */
export function compareGolden(key: GoldenKey, golden: Golden): Comparison {
  const { net } = key;
  const model = modelOf(net, golden);
  try {
    fillGolden(model.parameters, key);
    const found = runGolden(model, key, golden);
    const ownDeviation = golden.float32Deviation ?? {};
    const limited = (limit: number, deviation = 0) => (deviation > limit ? 3 * deviation : limit);
    const errors = gradientErrors(found.gradients, golden.gradients);
    const figures: Figure[] = [
      {
        name: 'evalLogits',
        value: greatestError(found.evalLogits, golden.evalLogits),
        limit: limited(1e-4, ownDeviation.evalLogits),
      },
      {
        name: 'evalLogitsAfterTrainForward',
        value: greatestError(found.evalLogitsAfterTrainForward, golden.evalLogitsAfterTrainForward),
        limit: limited(1e-3, ownDeviation.evalLogitsAfterTrainForward),
      },
      {
        name: 'firstLoss',
        value: Math.abs(found.firstLoss / golden.firstLoss - 1),
        limit: limited(1e-3, ownDeviation.firstLoss),
      },
      {
        name: 'gradientMedian',
        value: percentile(errors, 50),
        limit: limited(0.01, ownDeviation.gradientNormMedianRelative),
      },
      { name: 'gradient95', value: percentile(errors, 95), limit: 0.05 },
    ];
    const sizes = model.parameters.trainable().map(({ variable }) => variable.size);
    const parameters = sizes.reduce((sum, size) => sum + size, 0);
    return {
      net,
      parameters,
      expectedParameters: golden.parameters,
      figures,
      ok: parameters === golden.parameters && figures.every(({ value, limit }) => value <= limit),
    };
  } finally {
    model.dispose();
  }
}

/** Builds the network that the goldens describe. Its views follow from the gradients' names, its classes from the logits. */
function modelOf(net: string, { shape, views, evalLogits, gradients }: Golden) {
  const [, channels] = shape;
  const encoders = Object.keys(gradients).filter((name) => /^encoder\d\.weight$/.test(name)).length;
  const first = encoders < 2 ? channels : Math.ceil((2 * channels) / 3);
  const usual = encoders === 0 ? [] : encoders === 1 ? [channels] : [first, channels - first];
  const [row] = evalLogits;
  const classes = architectureOf(net).output === 'map' || !Array.isArray(row) ? 1 : row.length;
  return buildNetwork(net, { views: views ?? usual, channels, classes });
}

/** Sets every parameter and running statistic to the values that its name determines. */
export function fillGolden(parameters: Parameters, { seed, net }: GoldenKey) {
  const tensors = new Map<string, StoredTensor>();
  for (const { name, layout, variable } of parameters.byName.values()) {
    const shape = pytorchShape(variable.shape, layout);
    const u = uniformOf(`${seed}/${net}/${name}`);
    const data = new Float32Array(variable.size).map(valueRule(name, shape, u));
    tensors.set(name, { dtype: 'F32', shape, data });
  }
  importTensors(parameters, tensors);
}

/** The input that the key determines: [N, H, W, C], values in [0, 1). `shape` is N, C, H, W. */
export function goldenInput({ seed, net }: GoldenKey, shape: Golden['shape']): Tensor4D {
  const u = uniformOf(`${seed}/input/${net}`);
  const nchw = new Float32Array(tf.util.sizeFromShape(shape)).map(() => (u() + 1) / 2);
  return tf.tidy(() => tf.transpose(tf.tensor4d(nchw, shape), [0, 2, 3, 1]));
}

/** Returns a function that gives a parameter's values one after the other, from numbers u in [−1, 1). `shape` is PyTorch's. */
function valueRule(name: string, shape: readonly number[], u: () => number): () => number {
  if (shape.length > 1) {
    const bound = Math.sqrt(3 / shape.slice(1).reduce((product, size) => product * size, 1));
    return () => u() * bound;
  }
  if (name.endsWith('.running_var')) return () => 1 + 0.5 * Math.abs(u());
  if (name.endsWith('.weight')) return () => 1 + 0.1 * u();
  return () => 0.1 * u();
}

const { imul } = Math; // looked up once, because access to a global is slow under Jest

/** The mulberry32 stream seeded with the FNV-1a hash of the name, mapped to [−1, 1). */
function uniformOf(name: string): () => number {
  let state = hash32(name) | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = imul(state ^ (state >>> 15), 1 | state);
    t = (t + imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (2 * ((t ^ (t >>> 14)) >>> 0)) / 2 ** 32 - 1;
  };
}

/** Computes the values that goldens hold with a model that `fillGolden` has filled. */
export function runGolden(model: Model<Tensor2D | Tensor4D>, key: GoldenKey, golden: Golden) {
  return tf.tidy(() => {
    const x = goldenInput(key, golden.shape);
    const evaluated = () => sampledLogits(model.forward(x, { training: false }), golden.evalLogits.length);
    const evalLogits = evaluated();
    const { value, grads } = tf.variableGrads(
      () => lossOf(model.forward(x, { training: true }), x, golden.labels),
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
    return {
      evalLogits,
      evalLogitsAfterTrainForward: evaluated(),
      firstLoss: value.dataSync()[0]!,
      gradients,
    };
  });
}

/** All logits of a classifier; of a segmenter `count` evenly spaced values of its output flattened as N, C, H, W. */
export function sampledLogits(output: Tensor2D | Tensor4D, count: number): number[] {
  if (output.rank === 2) return [...output.dataSync()];
  const map = tf.transpose(output as Tensor4D, [0, 3, 1, 2]).dataSync();
  const every = Math.floor(map.length / count);
  return Array.from({ length: count }, (_, i) => map[i * every]!);
}

function lossOf(output: Tensor2D | Tensor4D, x: Tensor4D, labels: Golden['labels']) {
  if (Array.isArray(labels)) return focalLoss(output as Tensor2D, labels);
  const target = tf.cast(tf.greater(tf.mean(x, 3, true), 0.5), 'float32');
  return tf.losses.sigmoidCrossEntropy(target, output as Tensor).asScalar();
}

/** Mean of (1 − p)^1.5 · cross entropy, where p is the probability of the true class; the gradient also flows through p. */
function focalLoss(logits: Tensor2D, labels: readonly number[]) {
  const truth = tf.oneHot(tf.tensor1d([...labels], 'int32'), logits.shape[1]);
  const crossEntropy: Tensor1D = tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), truth), 1));
  return tf.mean(tf.mul(tf.pow(tf.sub(1, tf.exp(tf.neg(crossEntropy))), 1.5), crossEntropy)).asScalar();
}

/**
 * Relative errors of the gradients' norms, |found − expected| / expected, for each gradient whose expected norm exceeds 1e-3 of
 * the largest.
 * @throws {UserError} if the network has no parameter of an expected name.
 */
export function gradientErrors(gradients: Golden['gradients'], expected: Golden['gradients']): number[] {
  const largest = Math.max(...Object.values(expected).map(([norm]) => norm));
  return Object.entries(expected)
    .filter(([, [norm]]) => norm > 1e-3 * largest)
    .map(([name, [norm]]) => {
      const found = gradients[name];
      if (found !== undefined) return Math.abs(found[0] - norm) / norm;
      throw new UserError(`the network has no parameter ${name}`, {
        remedy: 'compare with goldens of the same network',
      });
    });
}

/** The nearest-rank percentile: the smallest of the numbers such that at least `percent` per cent of them are not greater. */
export function percentile(numbers: readonly number[], percent: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.max(Math.ceil((percent / 100) * sorted.length), 1) - 1]!;
}

/** The greatest |a − b| over all values of b; NaN if a lacks a value or a value is not a number. */
export function greatestError(a: Golden['evalLogits'], b: Golden['evalLogits']): number {
  const [first, second] = [a.flat(), b.flat()];
  return Math.max(...second.map((value, i) => Math.abs((first[i] ?? NaN) - value)));
}
