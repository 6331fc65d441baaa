// Reference values from PyTorch in float64, for weights and inputs that are made of their names alone.
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
  /** N, C, H, W. */
  shape: z.tuple([z.int().positive(), z.int().positive(), z.int().positive(), z.int().positive()]),
  /** A class for each image; of a segmenter a phrase: the target is where the mean of the input's channels is above 0.5. */
  labels: z.union([z.array(z.int().nonnegative()), z.string()]),
  /** Slices of each view; default: two thirds and one third of C where the network has two, else C. */
  views: z.array(z.int().positive()).max(2).optional(),
  parameters: z.int().positive(),
  /** Of a segmenter: every k-th of the map, flattened as N, C, H, W; k = ⌊size / number of values⌋. */
  evalLogits: logits,
  /** After one forward pass in training mode. */
  evalLogitsAfterTrainForward: logits,
  /** In training mode: focal loss, of a segmenter binary cross entropy on logits. */
  firstLoss: z.number(),
  /** Of that loss, by state-dict name: L2 norm and sum. */
  gradients: z.record(z.string(), z.tuple([z.number(), z.number()])),
  /** How far PyTorch's own float32 is from these values. */
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

const fileSchema = z.object({ nets: z.record(z.string(), goldenSchema) });

export type Golden = z.infer<typeof goldenSchema>;

/** The goldens beside the checkout. */
export const sharedGoldens =
  (process.env['CT_ENSEMBLE_SHARED'] ?? fileURLToPath(new URL('../../../../shared', import.meta.url))) +
  '/goldens/goldens.json';

/**
 * The goldens of a file, by network; undefined where there is no such file.
 * @throws {UserError} for what is not a file of goldens.
 */
export async function readGoldens(file: string): Promise<Record<string, Golden> | undefined> {
  const remedy = 'give a file that has for each network what goldens.json has';
  let value: unknown;
  try {
    value = await readJson(file);
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(messageOf(error), { file, remedy, cause: error });
  }
  if (value === undefined) return undefined;
  const parsed = fileSchema.safeParse(value);
  if (parsed.success) return parsed.data.nets;
  const [issue] = parsed.error.issues;
  throw new UserError(`${issue!.path.join('.')}: ${issue!.message}`, { file, remedy });
}

/** One figure of a comparison and how large it may be. */
export interface Figure {
  name: 'evalLogits' | 'evalLogitsAfterTrainForward' | 'firstLoss' | 'gradientMedian' | 'gradient95';
  value: number;
  limit: number;
}

export interface Comparison {
  net: string;
  parameters: number;
  expectedParameters: number;
  figures: Figure[];
  ok: boolean;
}

/**
 * Builds the network on tfjs's current backend, filled from its names, and compares: greatest |Δ| of logits, relative error of
 * the loss, median and 95th percentile of the relative error of the norms of those gradients that are above 1e-3 of
 * the largest. Where PyTorch's own float32 deviates by more than a limit, the limit is three times that deviation.
 *
 * @throws {UserError} for an unknown network, and for names of gradients that are not the network's.
 */
export function compareGolden(net: string, golden: Golden): Comparison {
  const model = modelOf(net, golden);
  try {
    fillGolden(model.parameters, net);
    const found = runGolden(model, net, golden);
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

/** The network that the goldens are of: its views from their names, its classes from their logits. */
function modelOf(net: string, { shape, views, evalLogits, gradients }: Golden) {
  const [, channels] = shape;
  const encoders = Object.keys(gradients).filter((name) => /^encoder\d\.weight$/.test(name)).length;
  const first = encoders < 2 ? channels : Math.ceil((2 * channels) / 3);
  const usual = encoders === 0 ? [] : encoders === 1 ? [channels] : [first, channels - first];
  const [row] = evalLogits;
  const classes = architectureOf(net).output === 'map' || !Array.isArray(row) ? 1 : row.length;
  return buildNetwork(net, { views: views ?? usual, channels, classes });
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

/** [N, H, W, C] in [0, 1), made of the network's name. `shape`: N, C, H, W. */
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
export function runGolden(model: Model<Tensor2D | Tensor4D>, net: string, golden: Golden) {
  return tf.tidy(() => {
    const x = goldenInput(net, golden.shape);
    const evaluated = () => listed(model.forward(x, { training: false }), golden.evalLogits.length);
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

/** All logits, or `count` of a map, evenly apart in the order N, C, H, W. */
export function listed(output: Tensor2D | Tensor4D, count: number): number[] {
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

/** Mean of (1 − p)^1.5 · cross entropy, p the probability of the true class; the gradient goes through p too. */
function focalLoss(logits: Tensor2D, labels: readonly number[]) {
  const truth = tf.oneHot(tf.tensor1d([...labels], 'int32'), logits.shape[1]);
  const crossEntropy: Tensor1D = tf.neg(tf.sum(tf.mul(tf.logSoftmax(logits), truth), 1));
  return tf.mean(tf.mul(tf.pow(tf.sub(1, tf.exp(tf.neg(crossEntropy))), 1.5), crossEntropy)).asScalar();
}

/** |a − b| / |b| of the gradients' norms, for those above 1e-3 of the largest. */
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

/** The smallest of the numbers that at least so many per cent of them do not exceed. */
export function percentile(numbers: readonly number[], percent: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.max(Math.ceil((percent / 100) * sorted.length), 1) - 1]!;
}

/** The greatest |a − b|; NaN where a number is none. */
export function greatestError(a: Golden['evalLogits'], b: Golden['evalLogits']): number {
  const [first, second] = [a.flat(), b.flat()];
  return Math.max(...second.map((value, i) => Math.abs((first[i] ?? NaN) - value)));
}
