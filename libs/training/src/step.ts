// Training and prediction steps in plain tfjs; the engine captures each of them as one TensorFlow function.
import {
  capture,
  captureAlike,
  type CapturedStep,
  type CapturedSteps,
  type CaptureOptions,
  createLossScale,
  createOptimizer,
  type Optimizer,
  precisionOf,
  tensorOfBytes,
} from '@ct-ensemble/engine';
import type { Model } from '@ct-ensemble/models';
import tf, {
  type NamedTensorMap,
  type Scalar,
  type Tensor,
  type Tensor1D,
  type Tensor2D,
  type Tensor4D,
  type Variable,
} from '@tensorflow/tfjs';
import { augment, type Draws } from './augmentations/augment.ts';
import type { Augmentation } from './augmentations/index.ts';
import { mixedImages } from './augmentations/mixup.ts';
import { computeLoss, type LossOptions } from './losses/index.ts';
import { ruleOf } from './optimizers/index.ts';
import type { TrainingOptions } from './schema.ts';

// Type aliases, not interfaces: a captured step takes records of tensors.
export type AccumulationInputs = {
  /** [batch, depth, height, width], unsigned bytes */
  volumes: Tensor;
  /** [batch, classes], one-hot; with mixup the mixed rows */
  truth: Tensor2D;
  /** [2] int32, the seed of dropout; without it nothing is dropped. */
  dropout?: Tensor1D;
  /** Factor of the loss if a step has several micro-batches. */
  share?: Scalar;
  /** For mixup: λ, and for each scan the index of its partner in the batch, int32. */
  mixShare?: Scalar;
  mixPartners?: Tensor1D;
} & Draws;
export type TrainingInputs = AccumulationInputs & {
  /** The optimizer's rates for this step. */
  rates: Tensor1D;
};
export type TrainingOutputs = { loss: Scalar };

/** The fields of a recipe's `training` that define the optimizer. */
export type OptimizerSettings = Pick<TrainingOptions, 'optimizer'> &
  Partial<Pick<TrainingOptions, 'gradientClip' | 'accumulate' | 'averageWeights' | 'precision'>>;

/**
 * The optimizer of all trainable parameters, by their names in PyTorch's state dict. It scales the loss if the step computes
 * in float16. Averaged weights include the running statistics of batch normalisation.
 */
export function memberOptimizer(
  { parameters }: Pick<Model, 'parameters'>,
  { optimizer, gradientClip, accumulate, averageWeights, precision = 'float32' }: OptimizerSettings,
): Optimizer {
  const all = [...parameters.byName.values()];
  const variables = (isTrainable: boolean) =>
    new Map(
      all
        .filter(({ variable }) => variable.trainable === isTrainable)
        .map(({ name, variable }) => [name, variable]),
    );
  const isHalf = precisionOf(precision).compute === 'float16';
  const lossScale = isHalf ? createLossScale() : undefined;
  const made = createOptimizer(variables(true), ruleOf(optimizer), {
    ...(gradientClip !== undefined && { clipNorm: gradientClip }),
    ...(accumulate !== undefined && { accumulate }),
    ...(averageWeights && { averageDecay: averageWeights.decay, alsoAveraged: variables(false) }),
    ...(lossScale && { lossScale }),
  });
  return {
    ...made,
    dispose() {
      made.dispose();
      lossScale?.dispose();
    },
  };
}

export interface TrainingStepOptions {
  model: Pick<Model, 'parameters' | 'forward'>;
  optimizer: Optimizer;
  loss: LossOptions;
  /** Weights of the classes; see `classWeightsOf`. */
  classWeights?: readonly number[] | undefined;
  /** The settings that the draws were made with. */
  augmentation?: Partial<Augmentation>;
  capture?: CaptureOptions;
  /** Recomputes activations in the backward pass: less memory, more time; see Mode in libs/models. */
  recompute?: boolean;
}

/** One training step: takes volumes, updates parameters and optimizer state, returns the loss. */
export function trainingStep(options: TrainingStepOptions): CapturedStep<TrainingInputs, TrainingOutputs> {
  const gradientsOf = gradientsFunction(options);
  return capture(({ rates, ...inputs }: TrainingInputs) => {
    const { loss, gradients } = gradientsOf(inputs as AccumulationInputs);
    options.optimizer.update(gradients, rates);
    return { loss };
  }, options.capture);
}

/** A micro-batch that is not the last of its step: adds its gradients to those that the next `trainingStep` applies. */
export function accumulationStep(
  options: TrainingStepOptions,
): CapturedStep<AccumulationInputs, TrainingOutputs> {
  const gradientsOf = gradientsFunction(options);
  return capture((inputs: AccumulationInputs) => {
    const { loss, gradients } = gradientsOf(inputs);
    options.optimizer.accumulate(gradients);
    return { loss };
  }, options.capture);
}

function gradientsFunction(options: TrainingStepOptions) {
  const { model, optimizer, loss, classWeights, augmentation = {}, recompute = false } = options;
  const { lossScale } = optimizer;
  const variables: Variable[] = model.parameters.trainable().map(({ variable }) => variable);
  return (inputs: AccumulationInputs): { loss: Scalar; gradients: NamedTensorMap } => {
    const { volumes, truth, dropout, share, mixShare, mixPartners, ...draws } = inputs;
    const images = unitRange(augment(volumes, draws, augmentation));
    const isMixed = mixShare !== undefined && mixPartners !== undefined;
    const x = isMixed ? mixedImages(images, { mixShare, mixPartners }) : images;
    const lossOf = () => {
      const logits = model.forward(x, { training: true, recompute, ...(dropout && { seed: dropout }) });
      const value = computeLoss(loss, { logits, truth, weights: classWeights, isMixed });
      const shared = share ? tf.mul<Scalar>(value, share) : value;
      return lossScale ? lossScale.times(shared) : shared;
    };
    const { value, grads } = tf.variableGrads(lossOf, variables);
    return {
      loss: lossScale ? tf.div<Scalar>(value, lossScale.variables.scale) : value,
      gradients: grads,
    };
  };
}

export type PredictionInputs = { volumes: Tensor };
export type PredictionOutputs = { probabilities: Tensor2D };

/** The prediction step: softmax of the logits in evaluation mode, [batch, classes]. */
export function predictionStep(
  model: Model,
  options: CaptureOptions = {},
): CapturedStep<PredictionInputs, PredictionOutputs> {
  return capture(predicted(model), options);
}

const predicted =
  (model: Model) =>
  ({ volumes }: PredictionInputs): PredictionOutputs => ({
    probabilities: tf.softmax(model.forward(unitRange(augment(volumes, {})), { training: false })),
  });

/**
 * The prediction steps of models of one architecture, with equal views and classes, as one function, which is recorded and optimised once
 * and runs for all models at the same time: `predictionStep` of each, in their order. The probabilities are bit for bit the same.
 */
export function predictionSteps(
  models: readonly Model[],
  options: CaptureOptions = {},
): CapturedSteps<PredictionInputs, PredictionOutputs> {
  return captureAlike(
    models.map((model) => ({
      step: predicted(model),
      variables: [...model.parameters.byName.values()].map(({ variable }) => variable),
    })),
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
