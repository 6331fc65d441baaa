// What a network is made of: layers, shapes, parameters, multiply-adds, memory of what flows between them.
import { GROUPED_CONV2D } from '@ct-ensemble/engine';
import type { Graph, Op } from './trace.ts';

export interface SummaryRow {
  /** The first parts of its names in the state dict: `model.features.denseblock1`. Ops without weights belong to the layer before them. */
  layer: string;
  /** The kernels in it, each with how often: `Conv2D × 12`. */
  ops: Record<string, number>;
  /** Of its last op: [batch, height, width, channels]. */
  output: number[];
  /** Trainable ones. */
  parameters: number;
  /** Of convolutions and matrix products, for the whole batch. */
  multiplyAdds: number;
  /** Of all that its ops give, float32. A backward pass keeps most of it. */
  activationBytes: number;
}

/** depth: how many parts of a name make a row. */
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

export function totals(rows: readonly SummaryRow[]) {
  const total = (of: 'parameters' | 'multiplyAdds' | 'activationBytes') =>
    rows.reduce((sum, row) => sum + row[of], 0);
  return {
    parameters: total('parameters'),
    multiplyAdds: total('multiplyAdds'),
    activationBytes: total('activationBytes'),
  };
}

/** `model.features.conv0` of `model.features.conv0.weight`. */
export function layerOf({ inputs }: Op): string | undefined {
  const name = inputs.find(({ parameter }) => parameter)?.parameter!.name;
  return name?.slice(0, name.lastIndexOf('.'));
}

/** A convolution has for each output the filter's [height, width, channels of its group], a product its inner edge. */
function multiplyAdds({ kernel, inputs, outputs }: Op): number {
  if (!products.has(kernel)) return 0;
  const filter = inputs[1]!.shape;
  return sizeOf(outputs[0]!.shape) * sizeOf(filter.slice(0, -1));
}

const products = new Set(['Conv2D', GROUPED_CONV2D, 'BatchMatMul']);

const sizeOf = (shape: readonly number[]) => shape.reduce((product, edge) => product * edge, 1);
