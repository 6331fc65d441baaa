// Optimizers: everything that all of them share (accumulated gradients, clipping, loss scale, averaged weights) and the rule
// of Adam. A rule updates one variable; inside a captured step it may use TensorFlow's fused ops, which write in place.
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

/** What every optimizer can do beside its rule. */
export interface OptimizerOptions {
  /** Scales all gradients together so that their norm is at most this, as torch.nn.utils.clip_grad_norm_. Default: no. */
  clipNorm?: number;
  /** Micro-batches of one update: their gradients' mean counts. All but the last go to `accumulate`. Default 1. */
  accumulate?: number;
  /** Keeps an exponential moving average of the weights: a ← a · decay + w · (1 − decay) after each update. Default: no. */
  averageDecay?: number;
  /** Further variables that are averaged, but not updated, such as the running statistics of batch normalisation. */
  alsoAveraged?: ReadonlyMap<string, Variable>;
  /**
   * For float16: the gradients given to `update` are those of `lossScale.times(loss)`. Where one is not finite, the
   * update leaves weights and state as they are.
   */
  lossScale?: LossScale;
}

/** One variable that is to be updated. */
export interface VariableUpdate {
  readonly variable: Variable;
  /** The rule's state of this variable, by the names of `OptimizerRule.state`. */
  readonly state: Readonly<Record<string, Variable>>;
  readonly gradient: Tensor;
}

/** How an optimizer changes a variable. `Coefficients` are the scalars that all variables share in one update. */
export interface OptimizerRule<Coefficients = unknown> {
  /** Names the optimizer in checkpoints. */
  readonly name: string;
  /** What is kept of each variable, each of its shape and zero at first; PyTorch's names. */
  readonly state: readonly string[];
  /** The numbers that change from update to update; `update` counts from 1. */
  rates(learningRate: number, update: number): number[];
  /**
   * The scalars of one update, computed once for all variables.
   *
   * @param rates those of `rates`, as scalars
   * @param unless the first argument, but the second where the update is to change nothing (a gradient in float16 was
   *   not finite; gradients are then 0). With the second arguments in use `apply` must leave variable and state as they are.
   */
  coefficients(rates: readonly Scalar[], unless: (value: Scalar, idle: number) => Scalar): Coefficients;
  /** Assigns new values to the variable and its state. */
  apply(update: VariableUpdate, coefficients: Coefficients): void;
}

/** What the optimizer keeps of one variable. */
export interface OptimizerSlot {
  readonly variable: Variable;
  readonly state: Readonly<Record<string, Variable>>;
  /** Sum of the gradients since the last update. */
  readonly sum?: Variable;
}

export interface Optimizer {
  /** The rule's name. */
  readonly name: string;
  readonly slots: ReadonlyMap<string, OptimizerSlot>;
  /** Moving averages, each its variable's first value at the start; empty without `averageDecay`. */
  readonly averages: ReadonlyMap<string, { readonly variable: Variable; readonly average: Variable }>;
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
   * Updates variables and state. May run inside a captured step.
   *
   * @param gradients by the variables' tfjs names, as tf.variableGrads gives them
   * @returns the norm of all gradients before clipping, where `clipNorm` is set
   */
  update(gradients: NamedTensorMap, rates: Tensor1D): { gradientNorm?: Scalar };
  dispose(): void;
}

/** @param variables by any name of the caller's */
export function createOptimizer(
  variables: ReadonlyMap<string, Variable>,
  rule: OptimizerRule,
  options: OptimizerOptions = {},
): Optimizer {
  const { clipNorm, accumulate = 1, averageDecay, alsoAveraged = new Map<string, Variable>(), lossScale } = options; // prettier-ignore
  const kept = (value: (variable: Variable) => Tensor, variable: Variable) =>
    tf.tidy(() => tf.variable(value(variable), false));
  const zeros = (variable: Variable) => kept((like) => tf.zeros(like.shape), variable);
  const slots = new Map<string, OptimizerSlot>(
    Array.from(variables, ([name, variable]) => [
      name,
      {
        variable,
        state: Object.fromEntries(rule.state.map((state) => [state, zeros(variable)])),
        ...(accumulate > 1 ? { sum: zeros(variable) } : {}),
      },
    ]),
  );
  const averaged = averageDecay === undefined ? [] : [...variables, ...alsoAveraged];
  const averages = new Map(
    averaged.map(([name, variable]) => [
      name,
      { variable, average: kept((value) => tf.add(value, 0), variable) },
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
    name: rule.name,
    slots,
    averages,
    ...(lossScale === undefined ? {} : { lossScale }),
    rates: (learningRate, update) => tf.tensor1d(rule.rates(learningRate, update)),
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
        const unless = (value: Scalar, idle: number): Scalar =>
          finite === undefined ? value : (tf.where(finite, value, tf.scalar(idle)) as Scalar);
        const coefficients = rule.coefficients(tf.unstack(rates) as Scalar[], unless);
        const [keeps, takes] = [
          unless(tf.scalar(averageDecay ?? 1), 1),
          unless(tf.scalar(1 - (averageDecay ?? 1)), 0),
        ];
        const norm = clipNorm === undefined ? undefined : globalNorm(updates.map(({ gradient }) => gradient));
        const scale = norm && tf.minimum(1, tf.div(clipNorm!, tf.add(norm, 1e-6)));
        for (const { variable, state, gradient } of updates) {
          tf.tidy(() => {
            const scaled = scale === undefined ? gradient : tf.mul(gradient, scale);
            rule.apply({ variable, state, gradient: scaled }, coefficients);
          });
        }
        for (const { variable, average } of averages.values())
          tf.tidy(() => average.assign(tf.add(tf.mul(average, keeps), tf.mul(variable, takes))));
        return norm === undefined ? {} : { gradientNorm: norm };
      }),
    dispose() {
      for (const { state, sum } of slots.values()) tf.dispose([...Object.values(state), sum] as Variable[]);
      for (const { average } of averages.values()) average.dispose();
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

function globalNorm(gradients: readonly Tensor[]): Scalar {
  return tf.tidy(() => tf.sqrt(tf.addN(gradients.map((gradient) => tf.sum(tf.square(gradient)))))) as Scalar;
}

/**
 * Runs an op of TensorFlow's that updates variables in place, such as ResourceApplyMomentum: their resources come first,
 * then the inputs. Inside and outside captured steps.
 *
 * @returns false on other backends, where nothing was done and plain tfjs has to do it
 */
export function updateInPlace(
  op: { name: string; attributes?: Readonly<Record<string, boolean>> },
  variables: readonly Variable[],
  inputs: readonly Tensor[],
): boolean {
  const backend = activeBackend();
  if (backend === undefined) return false;
  const own = Object.entries(op.attributes ?? {}).map(([name, value]) => bool(name, value));
  const attributes = [type('T', DataType.FLOAT), bool('use_locking', true), ...own];
  backend.update({ name: op.name, attributes }, variables, inputs);
  return true;
}

/** The settings of Adam (Kingma and Ba 2015). */
export interface AdamRuleOptions {
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Default 0. */
  weightDecay?: number;
  /**
   * `decoupled` (default, Loshchilov and Hutter 2019; torch.optim.AdamW): w ← w · (1 − learning rate · decay) before the
   * update; `l2` (torch.optim.Adam): g ← g + decay · w.
   */
  decay?: 'decoupled' | 'l2';
}

interface AdamCoefficients {
  beta1: Scalar;
  beta2: Scalar;
  /** Learning rate with both bias corrections. */
  rate: Scalar;
  /** Epsilon with the second moment's bias correction. */
  epsilon: Scalar;
  /** 0 for the op's own bias correction, whose powers of the betas would be float32. */
  none: Scalar;
  /** What the weights are multiplied by before the update. */
  kept: Scalar;
}

/**
 * Adam, number for number as torch.optim.Adam and AdamW: m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²;
 * w ← w − rate · (m / (1 − β₁ᵗ)) / (√(v / (1 − β₂ᵗ)) + ε).
 */
export function adamRule(options: AdamRuleOptions): OptimizerRule<AdamCoefficients> {
  const { beta1, beta2, epsilon, weightDecay = 0, decay = 'decoupled' } = options;
  const isDecoupled = weightDecay !== 0 && decay === 'decoupled';
  const isL2 = weightDecay !== 0 && decay === 'l2';
  return {
    name: 'adam',
    state: ['exp_avg', 'exp_avg_sq'],
    rates(learningRate, update) {
      const second = Math.sqrt(1 - beta2 ** update);
      const rate = (learningRate * second) / (1 - beta1 ** update);
      return [rate, epsilon * second, 1 - learningRate * weightDecay];
    },
    coefficients: ([rate, scaledEpsilon, kept], unless) => ({
      rate: unless(rate!, 0),
      epsilon: scaledEpsilon!,
      beta1: unless(tf.scalar(beta1), 1),
      beta2: unless(tf.scalar(beta2), 1),
      none: tf.scalar(0),
      kept: isDecoupled ? unless(kept!, 1) : kept!,
    }),
    apply({ variable, state, gradient }, { beta1, beta2, rate, epsilon, none, kept }) {
      const [first, second] = [state['exp_avg']!, state['exp_avg_sq']!];
      if (isDecoupled) variable.assign(tf.mul(variable, kept));
      const g = isL2 ? tf.add(gradient, tf.mul(variable, weightDecay)) : gradient;
      const op = { name: 'ResourceApplyAdam' };
      if (updateInPlace(op, [variable, first, second], [none, none, rate, beta1, beta2, epsilon, g])) return;
      first.assign(tf.add(tf.mul(first, beta1), tf.mul(g, tf.sub(1, beta1))));
      second.assign(tf.add(tf.mul(second, beta2), tf.mul(tf.square(g), tf.sub(1, beta2))));
      variable.assign(tf.sub(variable, tf.mul(rate, tf.div(first, tf.add(tf.sqrt(second), epsilon)))));
    },
  };
}

export interface AdamOptions extends AdamRuleOptions, OptimizerOptions {}

/** An optimizer with Adam's rule. */
export function createAdam(variables: ReadonlyMap<string, Variable>, options: AdamOptions): Optimizer {
  return createOptimizer(variables, adamRule(options), options);
}
