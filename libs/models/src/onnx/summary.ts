// Summarises a traced network: layers, shapes, parameters, multiply-adds and memory of activations.
import { GROUPED_CONV2D } from '@ct-ensemble/engine';
import type { Graph, Op } from './trace.ts';

/** One row: a layer, or a group of layers whose names start alike. */
export interface SummaryRow {
  /** The first parts of the names in the state dict, such as `model.features.denseblock1`. Operations without weights count to the layer before them. */
  layer: string;
  /** Number of operations by tfjs kernel name. */
  ops: Record<string, number>;
  /** Output shape of the last operation: [batch, height, width, channels]. */
  output: number[];
  /** Number of trainable parameters. */
  parameters: number;
  /** Multiply-adds of convolutions and matrix products, for the whole batch. */
  multiplyAdds: number;
  /** Bytes of all outputs of its operations in float32; a backward pass keeps most of them. */
  activationBytes: number;
}

/** One row for each group of layers. `depth`: number of leading name parts that layers of a group have in common. */
export function summarise(graph: Graph, depth: number): SummaryRow[] {
  const rows = new Map<string, SummaryRow>();
  let layer = 'input';
  for (const op of graph.ops) {
    layer = layerOf(op)?.split('.').slice(0, depth).join('.') ?? layer;
    const row = rows.get(layer) ?? {
      layer,
      ops: {},
      output: [],
      parameters: 0,
      multiplyAdds: 0,
      activationBytes: 0,
    };
    rows.set(layer, row);
    row.ops[op.kernel] = (row.ops[op.kernel] ?? 0) + 1;
    row.output = [...op.outputs.at(-1)!.shape];
    for (const { parameter, shape } of op.inputs) if (parameter?.trainable) row.parameters += sizeOf(shape);
    row.multiplyAdds += multiplyAdds(op);
    for (const { shape } of op.outputs) row.activationBytes += 4 * sizeOf(shape);
  }
  return [...rows.values()];
}

/** The sums over all rows. */
export function totals(rows: readonly SummaryRow[]) {
  const total = (of: 'parameters' | 'multiplyAdds' | 'activationBytes') =>
    rows.reduce((sum, row) => sum + row[of], 0);
  return {
    parameters: total('parameters'),
    multiplyAdds: total('multiplyAdds'),
    activationBytes: total('activationBytes'),
  };
}

/** The layer that an operation's parameter belongs to, e.g. `model.features.conv0`; undefined for one without parameters. */
export function layerOf({ inputs }: Op): string | undefined {
  const name = inputs.find(({ parameter }) => parameter)?.parameter!.name;
  return name?.slice(0, name.lastIndexOf('.'));
}

/** Per output value: height × width × channels of a group for a convolution, the inner dimension for a matrix product. */
function multiplyAdds({ kernel, inputs, outputs }: Op): number {
  if (!products.has(kernel)) return 0;
  const filter = inputs[1]!.shape;
  return sizeOf(outputs[0]!.shape) * sizeOf(filter.slice(0, -1));
}

const products = new Set(['Conv2D', GROUPED_CONV2D, 'BatchMatMul']);

const sizeOf = (shape: readonly number[]) => shape.reduce((product, edge) => product * edge, 1);
