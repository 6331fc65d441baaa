// Adam (Kingma and Ba 2015), number for number as torch.optim.Adam and AdamW: inside a captured step TensorFlow's fused op
// updates weights and moments in place; elsewhere it is plain tfjs.
import tf, {
  type NamedTensorMap,
  type Scalar,
  type Tensor,
  type Tensor1D,
  type Variable,
} from '@tensorflow/tfjs';
import { activeBackend } from '../backend/backend.ts';
import { EngineError } from '../errors.ts';
import { bool, type } from '../kernels/attributes.ts';
import type { LossScale } from './loss-scale.ts';
import { DataType } from '../native/types.ts';

export interface AdamOptions {
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Decoupled weight decay (Loshchilov and Hutter 2019): w ← w · (1 − learning rate · decay) before the update. Default 0. */
  weightDecay?: number;
  /** Scales all gradients together so that their norm is at most this, as torch.nn.utils.clip_grad_norm_. Default: no. */
  clipNorm?: number;
  /** Micro-batches of one update: their gradients' mean counts. All but the last go to `accumulate`. Default 1. */
  accumulate?: number;
  /** Keeps an exponential moving average of the weights: a ← a · decay + w · (1 − decay) after each update. Default: no. */
  averageDecay?: number;
  /**
   * For float16: the gradients given to `update` are those of `lossScale.times(loss)`. Where one is not finite, the
   * update leaves weights and moments as they are.
   */
  lossScale?: LossScale;
}

/** What the optimizer keeps of one variable, each of its shape. */
export interface AdamSlots {
  readonly variable: Variable;
  /** First moment, m; PyTorch calls it exp_avg. */
  readonly first: Variable;
  /** Second moment, v; PyTorch calls it exp_avg_sq. */
  readonly second: Variable;
  /** Sum of the gradients since the last update. */
  readonly sum?: Variable;
  /** The moving average, the variable's first value at the start. */
  readonly average?: Variable;
}

export interface Adam {
  readonly slots: ReadonlyMap<string, AdamSlots>;
  readonly lossScale?: LossScale;
  /**
   * What changes from update to update, as one input of the step; the caller disposes it.
   *
   * @param update 1, 2, …
   */
  rates(learningRate: number, update: number): Tensor1D;
  /** Adds the gradients of a micro-batch, by the variables' tfjs names, to what the next update takes. */
  accumulate(gradients: NamedTensorMap): void;
  /**
   * Updates variables and moments. May run inside a captured step.
   *
   * @param gradients by the variables' tfjs names, as tf.variableGrads gives them
   * @returns the norm of all gradients before clipping, where `clipNorm` is set
   */
  update(gradients: NamedTensorMap, rates: Tensor1D): { gradientNorm?: Scalar };
  dispose(): void;
}

/** @param variables by any name of the caller's */
export function createAdam(variables: ReadonlyMap<string, Variable>, options: AdamOptions): Adam {
  const {
    beta1,
    beta2,
    epsilon,
    weightDecay = 0,
    clipNorm,
    accumulate = 1,
    averageDecay,
    lossScale,
  } = options;
  const kept = (value: (variable: Variable) => Tensor, variable: Variable) =>
    tf.tidy(() => tf.variable(value(variable), false));
  const zeros = (variable: Variable) => kept((like) => tf.zeros(like.shape), variable);
  const slots = new Map<string, AdamSlots>(
    Array.from(variables, ([name, variable]) => [
      name,
      {
        variable,
        first: zeros(variable),
        second: zeros(variable),
        ...(accumulate > 1 ? { sum: zeros(variable) } : {}),
        ...(averageDecay === undefined ? {} : { average: kept((value) => tf.add(value, 0), variable) }),
      },
    ]),
  );
  const gradientsOf = (gradients: NamedTensorMap) =>
    Array.from(slots, ([name, slot]) => {
      const gradient = gradients[slot.variable.name];
      if (gradient === undefined) {
        throw new EngineError('capture', `the loss does not reach ${name}`, {
          remedy: 'leave it out of the optimizer, or use it in the step',
        });
      }
      return { ...slot, gradient };
    });
  return {
    slots,
    ...(lossScale === undefined ? {} : { lossScale }),
    rates(learningRate, update) {
      const second = Math.sqrt(1 - beta2 ** update);
      const rate = (learningRate * second) / (1 - beta1 ** update);
      return tf.tensor1d([rate, epsilon * second, 1 - learningRate * weightDecay]);
    },
    accumulate(gradients) {
      if (accumulate < 2) throw new EngineError('capture', 'the optimizer was made without `accumulate`');
      for (const { sum, gradient } of gradientsOf(gradients))
        tf.tidy(() => sum!.assign(tf.add(sum!, gradient)));
    },
    update: (gradients, rates) =>
      tf.tidy(() => {
        const means = gradientsOf(gradients).map(({ sum, gradient, ...slot }) => {
          if (sum === undefined) return { ...slot, gradient };
          const mean = tf.div(tf.add(sum, gradient), accumulate);
          sum.assign(tf.zerosLike(sum));
          return { ...slot, gradient: mean };
        });
        const { updates, finite } = unscaled(means, lossScale);
        /** A coefficient, or the one that changes nothing. */
        const unless = (value: Scalar, idle: number): Scalar =>
          finite === undefined ? value : (tf.where(finite, value, tf.scalar(idle)) as Scalar);
        const [rate, scaledEpsilon, decay] = tf.unstack(rates) as [Scalar, Scalar, Scalar];
        const coefficients = {
          rate: unless(rate, 0),
          epsilon: scaledEpsilon,
          beta1: unless(tf.scalar(beta1), 1),
          beta2: unless(tf.scalar(beta2), 1),
          none: tf.scalar(0),
        };
        const [kept, taken] = [
          unless(tf.scalar(averageDecay ?? 1), 1),
          unless(tf.scalar(1 - (averageDecay ?? 1)), 0),
        ];
        const norm = clipNorm === undefined ? undefined : globalNorm(updates.map(({ gradient }) => gradient));
        const scale = norm && tf.minimum(1, tf.div(clipNorm!, tf.add(norm, 1e-6)));
        for (const { variable, first, second, average, gradient } of updates) {
          tf.tidy(() => {
            if (weightDecay !== 0) variable.assign(tf.mul(variable, unless(decay, 1)));
            const scaled = scale === undefined ? gradient : tf.mul(gradient, scale);
            const slot = { variable, first, second };
            apply(slot, scaled, coefficients);
            average?.assign(tf.add(tf.mul(average, kept), tf.mul(variable, taken)));
          });
        }
        return norm === undefined ? {} : { gradientNorm: norm };
      }),
    dispose() {
      for (const { first, second, sum, average } of slots.values())
        tf.dispose([first, second, sum, average] as Variable[]);
    },
  };
}

/** The updates with their gradients divided by the loss's factor, and whether all were finite. */
function unscaled<T extends { variable: Variable; gradient: Tensor }>(
  updates: readonly T[],
  lossScale: LossScale | undefined,
): { updates: readonly T[]; finite?: Tensor } {
  if (lossScale === undefined) return { updates };
  const byName = Object.fromEntries(updates.map(({ variable, gradient }) => [variable.name, gradient]));
  const { gradients, finite } = lossScale.unscale(byName);
  return {
    updates: updates.map((update) => ({ ...update, gradient: gradients[update.variable.name]! })),
    finite,
  };
}

interface Coefficients {
  beta1: Scalar;
  beta2: Scalar;
  /** Learning rate with both bias corrections. */
  rate: Scalar;
  /** Epsilon with the second moment's bias correction. */
  epsilon: Scalar;
  /** 0 for the op's own bias correction, whose powers of the betas would be float32. */
  none: Scalar;
}

/** m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; w ← w − rate · m / (√v + ε). */
function apply(
  { variable, first, second }: Pick<AdamSlots, 'variable' | 'first' | 'second'>,
  gradient: Tensor,
  { beta1, beta2, rate, epsilon, none }: Coefficients,
) {
  const backend = activeBackend();
  if (backend) {
    const attributes = [type('T', DataType.FLOAT), bool('use_locking', true)];
    const scalars = [none, none, rate, beta1, beta2, epsilon];
    backend.update(
      { name: 'ResourceApplyAdam', attributes },
      [variable, first, second],
      [...scalars, gradient],
    );
    return;
  }
  first.assign(tf.add(tf.mul(first, beta1), tf.mul(gradient, tf.sub(1, beta1))));
  second.assign(tf.add(tf.mul(second, beta2), tf.mul(tf.square(gradient), tf.sub(1, beta2))));
  variable.assign(tf.sub(variable, tf.mul(rate, tf.div(first, tf.add(tf.sqrt(second), epsilon)))));
}

function globalNorm(gradients: readonly Tensor[]): Scalar {
  return tf.tidy(() => tf.sqrt(tf.addN(gradients.map((gradient) => tf.sum(tf.square(gradient)))))) as Scalar;
}
