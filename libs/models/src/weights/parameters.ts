// The parameters of a network: tfjs variables under the names of PyTorch's state dict. Tensors in memory have tfjs's layout; files
// and initial values have PyTorch's. Only `fromPyTorch` and `toPyTorch` convert between the two.
import { randomStream } from '@ct-ensemble/core';
import tf, { type Rank, type Tensor, type Variable } from '@tensorflow/tfjs';
import type { Init } from '../inits.ts';
import type { StoredTensorOf } from './safetensors.ts';

/** For each layout and each tfjs axis, in order, the corresponding PyTorch axis: convolutions are HWIO in tfjs and OIHW in PyTorch. */
const pytorchAxes = { conv: [2, 3, 1, 0], linear: [1, 0], vector: [0] } as const;

/** The kind of a parameter, which determines how its axes are permuted between tfjs and PyTorch. */
export type Layout = keyof typeof pytorchAxes;

export interface Parameter {
  /** Name in the state dict, for example `model.features.conv0.weight`. */
  readonly name: string;
  readonly layout: Layout;
  /** The values, in tfjs's layout. Running statistics are not trainable. The variable's own `name` is assigned by tfjs. */
  readonly variable: Variable;
}

export interface Parameters {
  /** Weights, biases and running statistics by name, in the order of the state dict. */
  readonly byName: ReadonlyMap<string, Parameter>;
  /** PyTorch's `num_batches_tracked` by name. Nothing here uses or advances these counters; they are only read and written again. */
  readonly counters: Map<string, bigint>;
  /** The trainable parameters, in the order of the state dict. */
  trainable(): Parameter[];
  /** Frees the memory of all parameters. */
  dispose(): void;
}

/** A prefix of parameter names, below which a layer creates its parameters. */
export interface Scope {
  /** The scope of a child: its names start with this scope's prefix and `child.`. */
  at(child: string): Scope;
  /** Creates a parameter. Its initial values depend only on the seed and on its full name. @throws if the name is taken. */
  parameter<R extends Rank>(name: string, options: ParameterOptions): Variable<R>;
  /** Creates a counter `num_batches_tracked`. */
  counter(name: string): void;
  /** The trainable variables that have been created in this scope so far. */
  trainable(): Variable[];
}

export interface ParameterOptions {
  /** PyTorch's shape. */
  shape: readonly number[];
  layout: Layout;
  init: Init;
  /** Whether training updates the parameter; default true. */
  trainable?: boolean;
}

/** Creates an empty set of parameters and its root scope. Without a seed all initial values are 0, to be set from a file. */
export function createParameters(seed?: number): { parameters: Parameters; root: Scope } {
  const byName = new Map<string, Parameter>();
  const counters = new Map<string, bigint>();
  const scope = (prefix: string): Scope => ({
    at: (child) => scope(`${prefix}${child}.`),
    parameter<R extends Rank>(leaf: string, { shape, layout, init, trainable = true }: ParameterOptions) {
      const name = prefix + leaf;
      if (byName.has(name)) throw new Error(`the network has two parameters ${name}`);
      const first = () => {
        if (seed === undefined) return tf.zeros<R>(pytorchAxes[layout].map((axis) => shape[axis]!) as never);
        const draw = init(shape, randomStream({ seed, purpose: 'init', sample: name }));
        const data = new Float32Array(tf.util.sizeFromShape([...shape])).map(draw);
        return fromPyTorch<R>({ dtype: 'F32', shape, data }, layout);
      };
      const values = first();
      const variable = tf.variable(values, trainable);
      values.dispose();
      byName.set(name, { name, layout, variable: variable as Variable });
      return variable;
    },
    counter: (leaf) => void counters.set(prefix + leaf, 0n),
    trainable: () =>
      [...byName.values()].flatMap(({ name, variable }) =>
        name.startsWith(prefix) && variable.trainable ? [variable] : [],
      ),
  });
  const parameters: Parameters = {
    byName,
    counters,
    trainable: () => [...byName.values()].filter(({ variable }) => variable.trainable),
    dispose: () => byName.forEach(({ variable }) => variable.dispose()),
  };
  return { parameters, root: scope('') };
}

/** Converts stored values in PyTorch's layout to a tensor in tfjs's layout. The values are copied. */
export function fromPyTorch<R extends Rank>(
  { shape, data }: StoredTensorOf<'F32'>,
  layout: Layout,
): Tensor<R> {
  // tfjs keeps the array that a tensor is made of; a transposed tensor has values of its own.
  if (layout === 'vector') return tf.tensor<R>(data.slice(), [...shape] as never);
  return tf.tidy(() => tf.transpose(tf.tensor<R>(data, [...shape] as never), [...pytorchAxes[layout]]));
}

/** Converts a tensor in tfjs's layout (a parameter, or an optimizer's moment) to stored values in PyTorch's layout, as a copy. */
export async function toPyTorch(tensor: Tensor, layout: Layout): Promise<StoredTensorOf<'F32'>> {
  const transposed = tf.tidy(() => tf.transpose(tensor, tfjsAxes(layout)));
  try {
    return { dtype: 'F32', shape: transposed.shape, data: (await transposed.data<'float32'>()).slice() };
  } finally {
    transposed.dispose();
  }
}

/** The shape that a tensor of this tfjs shape has in PyTorch. */
export function pytorchShape(shape: readonly number[], layout: Layout): number[] {
  return tfjsAxes(layout).map((axis) => shape[axis]!);
}

/** For each PyTorch axis, in order, the corresponding tfjs axis. */
export function tfjsAxes(layout: Layout): number[] {
  const axes: readonly number[] = pytorchAxes[layout];
  return axes.map((_, axis) => axes.indexOf(axis));
}
