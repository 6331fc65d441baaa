// The training step and the prediction step: plain tfjs, captured as one function each where the engine can.
import {
  type Adam,
  type AdamOptions,
  capture,
  type CapturedStep,
  type CaptureOptions,
  createAdam,
  createLossScale,
  type Precision,
  precisionOf,
  tensorOfBytes,
} from '@ct-ensemble/engine';
import type { Model } from '@ct-ensemble/models';
import tf, { type Scalar, type Tensor, type Tensor1D, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import { augment, type Draws } from './augment.ts';
import { focalLoss } from './loss.ts';
import type { Interpolation } from './options.ts';

// Type aliases, not interfaces: a captured step takes records of tensors.
export type TrainingInputs = {
  /** [batch, depth, height, width], unsigned bytes */
  volumes: Tensor;
  /** [batch, classes], one-hot */
  truth: Tensor2D;
  /** The optimizer's, for this step. */
  rates: Tensor1D;
  /** [2] int32, from which dropout draws; without it nothing is dropped. */
  dropout?: Tensor1D;
} & Draws;
export type TrainingOutputs = { loss: Scalar };

/** Adam on everything that a loss moves, under PyTorch's names; with loss scaling where the step computes in float16. */
export function memberOptimizer(
  model: Pick<Model, 'parameters'>,
  options: AdamOptions,
  precision: Precision = 'float32',
): Adam {
  const isHalf = precisionOf(precision).compute === 'float16';
  return createAdam(new Map(model.parameters.trainable().map(({ name, variable }) => [name, variable])), {
    ...options,
    ...(isHalf ? { lossScale: createLossScale() } : {}),
  });
}

/** One step: volumes in, parameters and moments updated, loss out. */
export function trainingStep(options: {
  model: Model;
  optimizer: Adam;
  gamma: number;
  capture?: CaptureOptions;
  /** Less memory for more time; see Mode in libs/models. */
  recompute?: boolean;
  /** Of the draws' turns; default `linear`. */
  interpolation?: Interpolation | undefined;
}): CapturedStep<TrainingInputs, TrainingOutputs> {
  const { model, optimizer, gamma, recompute = false, interpolation } = options;
  const { lossScale } = optimizer;
  const variables = model.parameters.trainable().map(({ variable }) => variable);
  return capture(({ volumes, truth, rates, dropout, ...draws }: TrainingInputs) => {
    const x = unitRange(augment(volumes, draws, interpolation));
    const lossOf = () =>
      focalLoss(
        model.forward(x, { training: true, recompute, ...(dropout && { seed: dropout }) }),
        truth,
        gamma,
      );
    const { value, grads } = tf.variableGrads(
      () => (lossScale ? lossScale.times(lossOf()) : lossOf()),
      variables,
    );
    const loss = lossScale ? tf.div<Scalar>(value, lossScale.variables.scale) : value;
    optimizer.update(grads, rates);
    return { loss };
  }, options.capture);
}

export type PredictionInputs = { volumes: Tensor };
export type PredictionOutputs = { probabilities: Tensor2D };

/** Softmax of the logits in evaluation mode, [batch, classes]. */
export function predictionStep(
  model: Model,
  options: CaptureOptions = {},
): CapturedStep<PredictionInputs, PredictionOutputs> {
  return capture(
    ({ volumes }: PredictionInputs) => ({
      probabilities: tf.softmax(model.forward(unitRange(augment(volumes, {})), { training: false })),
    }),
    options,
  );
}

/** A batch of volumes as a tensor, [batch, depth, height, width], unsigned bytes. */
export function volumesTensor(data: Uint8Array, shape: readonly number[]): Tensor {
  return tensorOfBytes(data, [...shape]);
}

/** Grey values 0 … 255 → 0 … 1. */
function unitRange(grey: Tensor4D): Tensor4D {
  return tf.mul(grey, 1 / 255);
}
