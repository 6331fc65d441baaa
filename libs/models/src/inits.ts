// Initial values of parameters, by PyTorch's rules. Shapes are PyTorch's: [out, in, height, width] or [out, in].
import type { RandomStream } from '@ct-ensemble/core';

/** Returns, for a parameter of this shape, a function that draws its values one after the other. */
export type Init = (shape: readonly number[], random: RandomStream) => () => number;

export const constant =
  (value: number): Init =>
  () =>
  () =>
    value;

/** Uniform in [−bound, bound). */
export const uniform =
  (bound: number): Init =>
  (_shape, random) =>
  () =>
    (2 * random.uniform() - 1) * bound;

/** PyTorch's `kaiming_normal_` with its default arguments: normal distribution with variance 2 / fan_in. */
export const kaimingNormal: Init = (shape, random) => {
  const deviation = Math.sqrt(2 / fanIn(shape));
  return () => random.normal() * deviation;
};

/** PyTorch's `kaiming_normal_` with `mode="fan_out"`: variance 2 / (output channels × kernel area). */
export const kaimingNormalFanOut: Init = ([outputs, , ...kernel], random) => {
  const deviation = Math.sqrt(2 / kernel.reduce((product, size) => product * size, outputs!));
  return () => random.normal() * deviation;
};

/** Normal distribution with mean 0 and this standard deviation. */
export const normal =
  (deviation: number): Init =>
  (_shape, random) =>
  () =>
    random.normal() * deviation;

/** The default of PyTorch's Conv2d and Linear for weight and bias: uniform in [−b, b) with b = 1/√(fan_in of the weight). */
export const pytorchDefault = (weightShape: readonly number[]): Init =>
  uniform(1 / Math.sqrt(fanIn(weightShape)));

const fanIn = (shape: readonly number[]) => shape.slice(1).reduce((product, size) => product * size, 1);
