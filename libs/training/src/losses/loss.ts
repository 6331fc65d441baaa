// What a loss is, and what all losses share: label smoothing, class weights, and the weighted mean over a batch.
import { fields } from '@ct-ensemble/core';
import tf, { type Scalar, type Tensor2D } from '@tensorflow/tfjs';
import { z } from 'zod';
import type { Definition } from '../choice.ts';

const { above0, decay, sequence } = fields;

/** A loss: its fields in a recipe, and how it is computed with them. */
export interface LossDefinition<Options = unknown> extends Definition {
  /**
   * The loss of a batch: its mean over the scans, or over their weights. Differentiable, and with a finite gradient for
   * every finite logit.
   */
  compute(batch: LossBatch, options: Options): Scalar;
}

export interface LossBatch {
  /** [batch, classes] */
  logits: Tensor2D;
  /** [batch, classes]: one-hot, or with mixup the shares of the classes. */
  truth: Tensor2D;
  /** The truth may be other than one-hot. Default false. */
  isMixed?: boolean;
  /** [classes]; undefined: every class has weight 1. */
  weights?: readonly number[] | undefined;
}

const classFields = {
  labelSmoothing: decay
    .optional()
    .describe('Share ε of the truth that is spread evenly over all classes, as in PyTorch. Default 0.'),
  classWeights: z
    .union(
      [
        z.enum(['none', 'inverse-frequency', 'effective-number']),
        sequence(above0.describe('Weight of a class, in the order of the classes.')),
      ],
      'must be none, inverse-frequency, effective-number, or a list of one number above 0 for each class',
    )
    .optional()
    .describe(
      'Weights of the classes. inverse-frequency: n / (k · n_c) for n training scans, k classes, n_c of the class; ' +
        'effective-number: (1 − β) / (1 − β^n_c), divided by the mean over the classes. Default none.',
    ),
  beta: decay.optional().describe('β of effective-number. Default 0.999.'),
};

/** The fields of a loss in a recipe: its own, and those that every classification loss has. */
export const lossFields = <Shape extends z.core.$ZodLooseShape>(shape: Shape) =>
  fields
    .mapping({ ...shape, ...classFields })
    .refine((options) => {
      const { classWeights, beta } = options as ClassOptions;
      return beta === undefined || classWeights === 'effective-number';
    }, { path: ['beta'], error: 'is only used with classWeights: effective-number' }); // prettier-ignore

export interface ClassOptions {
  labelSmoothing?: number | undefined;
  classWeights?: 'none' | 'inverse-frequency' | 'effective-number' | readonly number[] | undefined;
  beta?: number | undefined;
}

/**
 * The weights of the classes.
 *
 * `inverse-frequency` is scikit-learn's class_weight='balanced'. `effective-number` is Cui et al., CVPR 2019, "Class-balanced
 * loss based on effective number of samples", scaled to mean 1 as the authors scale it.
 *
 * @param counts training scans of each class
 * @returns undefined where every class counts the same
 * @throws Error for a list of another length, or a class without training scans
 */
export function classWeightsOf(options: ClassOptions, counts: readonly number[]): number[] | undefined {
  const { classWeights = 'none', beta = 0.999 } = options;
  if (classWeights === 'none') return undefined;
  if (typeof classWeights !== 'string') {
    if (classWeights.length === counts.length) return [...classWeights];
    throw new Error(`${classWeights.length} class weights for ${counts.length} classes`);
  }
  const empty = counts.indexOf(0);
  if (empty >= 0) throw new Error(`class ${empty} has no training scans, so that it has no weight`);
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (classWeights === 'inverse-frequency') return counts.map((count) => total / (counts.length * count));
  const weights = counts.map((count) => (1 - beta) / (1 - beta ** count));
  const mean = weights.reduce((sum, weight) => sum + weight, 0) / weights.length;
  return weights.map((weight) => weight / mean);
}

/**
 * The weighted mean of a loss over a batch, as torch.nn.functional.cross_entropy(weight, label_smoothing):
 * Σᵢ Σ_c w_c t′ᵢ_c ℓᵢ_c / Σᵢ Σ_c w_c tᵢ_c with t′ = (1 − ε) t + ε / classes.
 *
 * @param terms [batch, classes]: ℓ, the loss of each scan if the class were the true one
 */
export function meanOverClasses(
  terms: Tensor2D,
  { truth, weights }: Pick<LossBatch, 'truth' | 'weights'>,
  smoothing: number,
): Scalar {
  const classes = truth.shape[1];
  const smoothed = smoothing === 0 ? truth : tf.add(tf.mul(truth, 1 - smoothing), smoothing / classes);
  if (weights === undefined) return tf.mean(tf.sum(tf.mul(smoothed, terms), 1));
  const perClass = tf.tensor2d([...weights], [1, classes]);
  const sum = tf.sum(tf.mul(tf.mul(smoothed, perClass), terms));
  return tf.div(sum, tf.sum(tf.mul(truth, perClass)));
}

/** The classes' weights that a batch with this truth has in all: what its loss was divided by. */
export function weightOf(labels: readonly number[], weights: readonly number[] | undefined): number {
  return weights === undefined
    ? labels.length
    : labels.reduce((sum, label) => sum + (weights[label] ?? 0), 0);
}
