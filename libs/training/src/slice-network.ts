// What the slice filter and the lung segmenter share: training and prediction steps, and their weights file.
import { createHash } from 'node:crypto';
import { sha256OfFile, UserError } from '@ct-ensemble/core';
import { atEdge, type GreyImage } from '@ct-ensemble/data';
import { capture, type CapturedStep, type Optimizer, tensorOfBytes } from '@ct-ensemble/engine';
import {
  architectureNames,
  architectureOf,
  architectures,
  buildNetwork,
  describedIn,
  describing,
  importTensors,
  type Metadata,
  type Model,
  readSafetensors,
} from '@ct-ensemble/models';
import tf, { type Scalar, type Tensor, type Tensor1D, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import { augment, type Draws } from './augmentations/augment.ts';
import { binaryCrossEntropy } from './losses/binary-cross-entropy.ts';

/** Grey slices are repeated in 3 equal channels, 0 … 1, because published weights expect colour images. */
const CHANNELS = 3;

export type SliceModel = Model<Tensor2D | Tensor4D>;

/** One of the two kinds of networks: what it predicts and how predictions are scored. */
export interface SliceTask {
  readonly kind: 'slice-filter' | 'lung-segmenter';
  readonly output: 'classes' | 'map';
  /** Names of the classes, in the order of the logits. */
  readonly classes: readonly string[];
  /** One logit per decision, positive for lung: [batch, 1], or [batch, edge, edge]. */
  lungLogits(logits: Tensor): Tensor;
  /** The labels of a batch as float32, with the same rotation and flips as the images; same shape as the lung logits. */
  truthOf(truth: Tensor, draws: Draws): Tensor;
  /** Compares true and predicted labels, one array per slice. `score` decides which epoch is the best. */
  scoresOf(truth: readonly Uint8Array[], decided: readonly Uint8Array[]): SliceScores;
}

export type SliceScores = { score: number } & Record<string, number>;

/** Names of the architectures that fit the task; those with a front of their own differ only in how they see volumes. */
export function sliceArchitectures(task: SliceTask): string[] {
  return architectureNames().filter((name) => {
    const { output, front } = architectures[name]!;
    return output === task.output && front === undefined;
  });
}

/** @throws {UserError} if the architecture does not fit the task, or does not accept slices of this size */
export function requireSliceNetwork(task: SliceTask, architecture: string, edge: number) {
  const described = architectureOf(architecture);
  if (described.output !== task.output)
    throw new UserError(`${architecture} is not an architecture for a ${task.kind}`, {
      remedy: `choose one of ${sliceArchitectures(task).join(', ')}`,
    });
  const { minimumEdge } = described.input;
  const multiple = described.output === 'map' ? described.multiple : 1;
  if (edge >= minimumEdge && edge % multiple === 0) return;
  const steps = multiple > 1 ? `, a multiple of ${multiple}` : '';
  throw new UserError(`size ${edge}: ${architecture} takes ${minimumEdge} pixels or more${steps}`, {
    remedy: `give ${described.input.edge}`,
  });
}

/** Builds the network of a task; throws like `requireSliceNetwork`. */
export function buildSliceModel(
  task: SliceTask,
  architecture: string,
  { edge, seed }: { edge: number; seed?: number },
): SliceModel {
  requireSliceNetwork(task, architecture, edge);
  const options = { views: [], channels: CHANNELS, classes: task.classes.length };
  return buildNetwork(architecture, seed === undefined ? options : { ...options, seed });
}

// Type aliases, not interfaces: a captured step takes records of tensors.
export type SliceTrainingInputs = {
  /** [batch, edge, edge], unsigned bytes */
  images: Tensor;
  /** [batch, 1] or [batch, edge, edge], unsigned bytes: 1 for lung, else 0 */
  truth: Tensor;
  /** The optimizer's rates for this step. */
  rates: Tensor1D;
} & Draws;

/** One training step: takes slices, updates parameters and optimizer state, returns the loss. */
export function sliceTrainingStep(options: {
  task: SliceTask;
  model: SliceModel;
  optimizer: Optimizer;
}): CapturedStep<SliceTrainingInputs, { loss: Scalar }> {
  const { task, model, optimizer } = options;
  const variables = model.parameters.trainable().map(({ variable }) => variable);
  return capture(({ images, truth, rates, ...draws }: SliceTrainingInputs) => {
    const x = channelsOf(augment(tf.expandDims(images, 1), draws));
    const y = task.truthOf(tf.cast(truth, 'float32'), draws);
    const { value: loss, grads } = tf.variableGrads(
      () => binaryCrossEntropy(task.lungLogits(model.forward(x, { training: true })), y),
      variables,
    );
    optimizer.update(grads, rates);
    return { loss };
  });
}

/** What the prediction step gives where the logit is NaN, which is no decision. */
const UNDECIDED = 2;

/**
 * The prediction step: 1 where the lung logit is positive, that is, where the probability is above one half; 2 where it is NaN;
 * else 0.
 */
export function slicePredictionStep(
  task: SliceTask,
  model: SliceModel,
): CapturedStep<{ images: Tensor }, { lung: Tensor }> {
  return capture(({ images }: { images: Tensor }) => {
    const logits = task.lungLogits(model.forward(channelsOf(withDepth(images)), { training: false }));
    const undecided = tf.mul(tf.cast(tf.isNaN(logits), 'int32'), tf.scalar(UNDECIDED, 'int32'));
    return { lung: tf.add(tf.cast(tf.greater(logits, 0), 'int32'), undecided) };
  });
}

/**
 * Predicted labels, one array per slice: [1], or [edge · edge]. All batches have the same size: the last one is padded with
 * black slices, whose results are dropped. `nameOf` names a slice, by its index, in the error.
 *
 * @throws {UserError} if the network's output for a slice is NaN
 */
export async function decide(
  step: ReturnType<typeof slicePredictionStep>,
  images: readonly Uint8Array[],
  options: { edge: number; batchSize: number; nameOf?: (i: number) => string },
): Promise<Uint8Array[]> {
  const { edge, batchSize, nameOf = (i) => `${i + 1} of ${images.length}` } = options;
  const decided: Uint8Array[] = [];
  for (let first = 0; first < images.length; first += batchSize) {
    const part = images.slice(first, first + batchSize);
    const bytes = new Uint8Array(batchSize * edge * edge);
    part.forEach((image, i) => bytes.set(image, i * edge * edge));
    const input = tensorOfBytes(bytes, [batchSize, edge, edge]);
    const { lung } = await step({ images: input });
    const values = Uint8Array.from(await lung.data());
    tf.dispose([input, lung]);
    const each = values.length / batchSize;
    part.forEach((_, i) => {
      const own = values.slice(i * each, (i + 1) * each);
      if (own.includes(UNDECIDED))
        throw new UserError(`the network's output for slice ${nameOf(first + i)} is NaN`, {
          remedy: 'train the network anew, with a lower --learning-rate',
        });
      decided.push(own);
    });
  }
  return decided;
}

const withDepth = (images: Tensor) => tf.cast(tf.expandDims(images, 3), 'float32') as Tensor4D;

/** [batch, edge, edge, 1], 0 … 255 → [batch, edge, edge, channels], 0 … 1. */
const channelsOf = (grey: Tensor4D) => tf.tile(tf.mul(grey, 1 / 255), [1, 1, 1, CHANNELS]) as Tensor4D;

/** Metadata of the weights file. */
export function describeSliceNetwork(
  task: SliceTask,
  model: SliceModel,
  { edge, scores }: { edge: number; scores: unknown },
): Metadata {
  const { kind, classes } = task;
  return {
    ...describing({
      architecture: model.architecture,
      views: [],
      classes: [...classes],
      size: [edge, edge],
      recipe: kind,
    }),
    kind,
    channels: String(CHANNELS),
    input: `grey 0 … 255 (v = (HU + 1150) / 1500 · 255), resized bilinear as Pillow does, / 255, ${CHANNELS} equal channels, no mean or standard deviation taken off`,
    validation: JSON.stringify(scores),
  };
}

/** A network with its weights, ready for predictions. */
export interface OpenedSliceNetwork {
  /** Kind, architecture, size and the SHA-256 of the file. */
  id: string;
  edge: number;
  /** Predicts slices of any size: one array per slice, [1] or [edge · edge], 1 for lung. */
  decide(slices: readonly GreyImage[]): Promise<Uint8Array[]>;
  dispose(): void;
}

/** A weights file in memory; the name is for errors. */
export interface WeightsInMemory {
  name: string;
  bytes: Uint8Array;
}

/**
 * Loads weights written by `trainSliceNetwork`, from a file or from its bytes, on the open engine of this thread.
 *
 * @throws {UserError} if the file is not such weights
 */
export async function openSliceNetwork(
  task: SliceTask,
  source: string | WeightsInMemory,
  { batchSize = 16 }: { batchSize?: number } = {},
): Promise<OpenedSliceNetwork> {
  const isFile = typeof source === 'string';
  const file = isFile ? source : source.name;
  const { tensors, metadata } = await readSafetensors(isFile ? source : source.bytes);
  const digest = isFile
    ? await sha256OfFile(source)
    : createHash('sha256').update(source.bytes).digest('hex');
  if (metadata['kind'] !== task.kind) {
    const found = metadata['kind'] ?? metadata['architecture'];
    throw new UserError(
      `is not a weights file of a ${task.kind}: ${found === undefined ? 'its metadata does not name a kind' : `its metadata names ${found}`}`,
      {
        file,
        remedy: `give a file written by trainer:${task.kind === 'slice-filter' ? 'filter' : 'segmenter'}`,
      },
    );
  }
  const { architecture, size, classes } = describedIn(metadata, { file });
  const fits = String(classes) === String(task.classes) && metadata['channels'] === String(CHANNELS);
  if (architecture === undefined || size === undefined || size[0] !== size[1] || !fits)
    throw new UserError(
      `metadata is not that of a ${task.kind}, which has an architecture, a square size, the classes ${task.classes.join(', ')} and ${CHANNELS} channels`,
      { file, remedy: 'train it again' },
    );
  const [edge] = size;
  const model = buildSliceModel(task, architecture, { edge });
  try {
    importTensors(model.parameters, tensors, file);
  } catch (error) {
    model.dispose();
    throw error;
  }
  const step = slicePredictionStep(task, model);
  return {
    id: [task.kind, architecture, edge, digest].join('-'),
    edge,
    decide: (slices) =>
      decide(
        step,
        slices.map((slice) => atEdge(slice, edge)),
        { edge, batchSize },
      ),
    dispose() {
      step.dispose();
      model.dispose();
    },
  };
}
