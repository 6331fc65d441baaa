// The parameters of a network: tfjs variables under the names of PyTorch's state dict. Memory has tfjs's layout,
// names, initial values and files have PyTorch's; `fromPyTorch` and `toPyTorch` are the only passage between them.
import { randomStream } from '@ct-ensemble/core';
import tf, { type Rank, type Tensor, type Variable } from '@tensorflow/tfjs';
import type { Init } from '../inits.ts';
import type { StoredTensorOf } from './safetensors.ts';

/** For each layout the PyTorch axis that each tfjs axis is: convolutions are OIHW there and HWIO here. */
const pytorchAxes = { conv: [2, 3, 1, 0], linear: [1, 0], vector: [0] } as const;

export type Layout = keyof typeof pytorchAxes;

export interface Parameter {
  /** Its name in the state dict: `model.features.conv0.weight`. */
  readonly name: string;
  readonly layout: Layout;
  /** Running statistics are not trainable. tfjs calls the variable by a name of its own. */
  readonly variable: Variable;
}

export interface Parameters {
  /** Weights and running statistics by name, in the order of the state dict. */
  readonly byName: ReadonlyMap<string, Parameter>;
  /** PyTorch's `num_batches_tracked` by name: nothing here reads or advances it, files carry it through. */
  readonly counters: Map<string, bigint>;
  /** Those that a loss moves. */
  trainable(): Parameter[];
  dispose(): void;
}

/** A place in the network's tree of names, where layers create their parameters. */
export interface Scope {
  at(child: string): Scope;
  /** Creates a parameter; `shape` is PyTorch's. Its first values depend on the seed and its full name alone. */
  parameter<R extends Rank>(name: string, options: ParameterOptions): Variable<R>;
  counter(name: string): void;
  /** The variables created below this place so far that a loss moves. */
  trainable(): Variable[];
}

export interface ParameterOptions {
  shape: readonly number[];
  layout: Layout;
  init: Init;
  /** Default true. */
  trainable?: boolean;
}

/** An empty store and the root of its names; without a seed all values are 0, to be read from a file. */
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

/** A tensor in tfjs's layout from values in PyTorch's. The values are copied. */
export function fromPyTorch<R extends Rank>(
  { shape, data }: StoredTensorOf<'F32'>,
  layout: Layout,
): Tensor<R> {
  return tf.tidy(() =>
    tf.transpose(tf.tensor<R>(data.slice(), [...shape] as never), [...pytorchAxes[layout]]),
  );
}

/** Values in PyTorch's layout, copied from a tensor in tfjs's: a parameter, or what an optimizer keeps beside it. */
export async function toPyTorch(tensor: Tensor, layout: Layout): Promise<StoredTensorOf<'F32'>> {
  const transposed = tf.tidy(() => tf.transpose(tensor, tfjsAxes(layout)));
  try {
    return { dtype: 'F32', shape: transposed.shape, data: (await transposed.data<'float32'>()).slice() };
  } finally {
    transposed.dispose();
  }
}

/** The PyTorch shape of a tensor of this tfjs shape. */
export function pytorchShape(shape: readonly number[], layout: Layout): number[] {
  return tfjsAxes(layout).map((axis) => shape[axis]!);
}

/** For each PyTorch axis the tfjs axis that it is. */
function tfjsAxes(layout: Layout): number[] {
  const axes: readonly number[] = pytorchAxes[layout];
  return axes.map((_, axis) => axes.indexOf(axis));
}
