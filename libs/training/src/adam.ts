// Adam (Kingma and Ba 2015), number for number as torch.optim.Adam without weight decay.
import type { Parameter } from '@ct-ensemble/models';
import tf, { type NamedTensorMap, type Scalar, type Tensor, type Variable } from '@tensorflow/tfjs';

export interface AdamOptions {
  beta1: number;
  beta2: number;
  epsilon: number;
}

/** What changes from step to step, as inputs of the step; t = 1, 2, … is the step's number. */
export interface AdamRates {
  /** learning rate · √(1 − β₂ᵗ) / (1 − β₁ᵗ) · (1 − β₁) / √(1 − β₂) */
  rate: Scalar;
  /** ε · √(1 − β₂ᵗ) / √(1 − β₂) */
  epsilon: Scalar;
}

export interface Adam {
  /**
   * The two moments of each parameter, in tfjs's layout, by the parameter's name. They are kept as plain sums, m / (1 − β₁) and
   * v / (1 − β₂) in the paper's terms: fewer passes over memory.
   */
  readonly moments: ReadonlyMap<string, { parameter: Parameter; first: Variable; second: Variable }>;
  /** Updates parameters and moments. Plain tfjs: may run inside a captured step. Gradients by tfjs variable name. */
  update(gradients: NamedTensorMap, rates: AdamRates): void;
  dispose(): void;
}

export function createAdam(parameters: readonly Parameter[], options: AdamOptions): Adam {
  const moments = new Map(
    parameters.map((parameter) => {
      const zeros = () => tf.tidy(() => tf.variable(tf.zerosLike(parameter.variable), false));
      return [parameter.name, { parameter, first: zeros(), second: zeros() }];
    }),
  );
  const { beta1, beta2 } = options;
  return {
    moments,
    update(gradients, { rate, epsilon }) {
      for (const { parameter, first, second } of moments.values()) {
        const gradient = gradients[parameter.variable.name];
        if (gradient === undefined) throw new Error(`the loss does not reach ${parameter.name}`);
        tf.tidy(() => {
          const m: Tensor = tf.add(tf.mul(first, beta1), gradient);
          const v: Tensor = tf.add(tf.mul(second, beta2), tf.square(gradient));
          const step = tf.mul(tf.div(m, tf.add(tf.sqrt(v), epsilon)), rate);
          first.assign(m);
          second.assign(v);
          parameter.variable.assign(tf.sub(parameter.variable, step));
        });
      }
    },
    dispose() {
      for (const { first, second } of moments.values()) {
        first.dispose();
        second.dispose();
      }
    },
  };
}

/** The step's inputs for a learning rate and the number of the step, counted from 1. */
export function adamRates(
  { beta1, beta2, epsilon }: AdamOptions,
  learningRate: number,
  step: number,
): { rate: number; epsilon: number } {
  const second = Math.sqrt((1 - beta2 ** step) / (1 - beta2));
  return { rate: (learningRate * second * (1 - beta1)) / (1 - beta1 ** step), epsilon: epsilon * second };
}
