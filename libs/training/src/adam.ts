// Adam (Kingma and Ba 2015), number for number as torch.optim.Adam without weight decay.
import type { Parameter } from '@ct-ensemble/models';
import tf, { type NamedTensorMap, type Scalar, type Tensor, type Variable } from '@tensorflow/tfjs';

export interface AdamOptions {
  beta1: number;
  beta2: number;
  epsilon: number;
}

/** What changes from step to step, as inputs of the step. */
export interface AdamRates {
  /** Learning rate / (1 − β₁ᵗ), t = 1, 2, … */
  rate: Scalar;
  /** 1 / √(1 − β₂ᵗ) */
  correction: Scalar;
}

export interface Adam {
  /** The two moments of each parameter, in tfjs's layout, by the parameter's name. */
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
  const { beta1, beta2, epsilon } = options;
  return {
    moments,
    update(gradients, { rate, correction }) {
      for (const { parameter, first, second } of moments.values()) {
        const gradient = gradients[parameter.variable.name];
        if (gradient === undefined) throw new Error(`the loss does not reach ${parameter.name}`);
        tf.tidy(() => {
          const m: Tensor = tf.add(first, tf.mul(tf.sub(gradient, first), 1 - beta1));
          const v: Tensor = tf.add(tf.mul(second, beta2), tf.mul(tf.square(gradient), 1 - beta2));
          const step = tf.div(tf.mul(m, rate), tf.add(tf.mul(tf.sqrt(v), correction), epsilon));
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
  options: AdamOptions,
  learningRate: number,
  step: number,
): { rate: number; correction: number } {
  return {
    rate: learningRate / (1 - options.beta1 ** step),
    correction: 1 / Math.sqrt(1 - options.beta2 ** step),
  };
}
