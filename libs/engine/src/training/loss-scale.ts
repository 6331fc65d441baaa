// Dynamic loss scaling (Micikevicius et al., ICLR 2018) for float16, whose smallest numbers gradients fall below: the loss
// is multiplied, the gradients are divided, and the factor follows what comes out. PyTorch's GradScaler in a step.
import tf, {
  type NamedTensorMap,
  type Rank,
  type Scalar,
  type Tensor,
  type Variable,
} from '@tensorflow/tfjs';

export interface LossScaleOptions {
  /** The factor at the start; default 2¹⁶. */
  initial?: number;
  /** It doubles after so many updates in a row whose gradients were finite; default 2000. */
  growthInterval?: number;
}

export interface LossScale {
  /** The factor, and the updates since it last changed: what a checkpoint keeps. */
  readonly variables: { readonly scale: Variable; readonly updates: Variable };
  /** What gradients are to be taken of. */
  times(loss: Scalar): Scalar;
  /**
   * The gradients divided by the factor, 0 where any is not finite; then the factor halves, and `finite` is false. May
   * run inside a captured step.
   */
  unscale(gradients: NamedTensorMap): { gradients: NamedTensorMap; finite: Scalar };
  dispose(): void;
}

/** To be given to `createAdam`, which leaves weights and moments as they are where a gradient is not finite. */
export function createLossScale(options: LossScaleOptions = {}): LossScale {
  const { initial = 2 ** 16, growthInterval = 2000 } = options;
  const kept = (value: number): Variable => tf.tidy(() => tf.variable<Rank>(tf.scalar(value), false));
  const variables = { scale: kept(initial), updates: kept(0) };
  return {
    variables,
    times: (loss) => tf.mul(loss, variables.scale),
    unscale(gradients) {
      const { scale, updates } = variables;
      // 0 · g is 0 where g is finite, else NaN.
      const zeros = Object.values(gradients).map((gradient) => tf.sum(tf.mul(gradient, 0)) as Scalar);
      const finite = tf.isFinite(tf.addN(zeros) as Scalar) as Scalar;
      const inverse = tf.div(1, scale);
      const unscaled = Object.entries(gradients).map(([name, gradient]) => [
        name,
        tf.where(finite, tf.mul(gradient, inverse), tf.zerosLike(gradient)),
      ]);
      const next = tf.add(updates, 1);
      const grows = tf.greaterEqual(next, growthInterval);
      const factor = tf.where(finite, tf.where(grows, tf.scalar(2), tf.scalar(1)), tf.scalar(0.5));
      updates.assign(tf.where(tf.logicalAnd(finite, tf.logicalNot(grows)), next, tf.zerosLike(next)));
      scale.assign(tf.mul(scale, factor));
      return { gradients: Object.fromEntries(unscaled) as NamedTensorMap, finite };
    },
    dispose: () => tf.dispose([variables.scale, variables.updates] as Tensor[]),
  };
}
