// The training step and the prediction step: plain tfjs, captured as one function each where the engine can.
import { capture, type CapturedStep, tensorOfBytes } from '@ct-ensemble/engine';
import type { Model } from '@ct-ensemble/models';
import tf, { type Scalar, type Tensor, type Tensor2D, type Tensor4D } from '@tensorflow/tfjs';
import type { Adam } from './adam.ts';
import { augment, type Draws } from './augment.ts';
import { focalLoss } from './loss.ts';

// Type aliases, not interfaces: a captured step takes records of tensors.
export type TrainingInputs = {
  /** [batch, depth, height, width], unsigned bytes */
  volumes: Tensor;
  /** [batch, classes], one-hot */
  truth: Tensor2D;
  rate: Scalar;
  epsilon: Scalar;
} & Draws;
export type TrainingOutputs = { loss: Scalar };

/** One step: volumes in, parameters and moments updated, loss out. */
export function trainingStep(options: {
  model: Model;
  adam: Adam;
  gamma: number;
}): CapturedStep<TrainingInputs, TrainingOutputs> {
  const { model, adam, gamma } = options;
  const variables = model.parameters.trainable().map(({ variable }) => variable);
  return capture(({ volumes, truth, rate, epsilon, ...draws }: TrainingInputs) => {
    const x = unitRange(augment(channelsLast(volumes), draws));
    const { value: loss, grads } = tf.variableGrads(
      () => focalLoss(model.forward(x, { training: true }), truth, gamma),
      variables,
    );
    adam.update(grads, { rate, epsilon });
    return { loss };
  });
}

export type PredictionInputs = { volumes: Tensor };
export type PredictionOutputs = { probabilities: Tensor2D };

/** Softmax of the logits in evaluation mode, [batch, classes]. */
export function predictionStep(model: Model): CapturedStep<PredictionInputs, PredictionOutputs> {
  return capture(({ volumes }: PredictionInputs) => ({
    probabilities: tf.softmax(model.forward(unitRange(channelsLast(volumes)), { training: false })),
  }));
}

/** A batch of volumes as a tensor, [batch, depth, height, width], unsigned bytes. */
export function volumesTensor(data: Uint8Array, shape: readonly number[]): Tensor {
  return tensorOfBytes(data, [...shape]);
}

/** [batch, depth, height, width] bytes → [batch, height, width, depth] float32, 0 … 255: slices are channels. */
function channelsLast(volumes: Tensor): Tensor4D {
  return tf.cast(tf.transpose(volumes, [0, 2, 3, 1]), 'float32') as Tensor4D;
}

/** Grey values 0 … 255 → 0 … 1. */
function unitRange(grey: Tensor4D): Tensor4D {
  return tf.mul(grey, 1 / 255);
}
