// A network with the weights of a file, ready to be converted: its traced graph and its state dict, in PyTorch's layouts.
import { openEngine } from '@ct-ensemble/engine';
import { buildNetwork } from '../registry.ts';
import { asFloat32, readSafetensors, type StoredTensors } from '../weights/safetensors.ts';
import { requireFitting } from '../weights/weights.ts';
import { type Graph, traceNetwork } from './trace.ts';

export interface NetworkOfFile {
  architecture: string;
  /** Number of slices of each view. */
  views: readonly number[];
  /** Number of classes. */
  classes: number;
  /** Height and width of a slice, in pixels. */
  size: readonly [height: number, width: number];
}

/**
 * Reads a safetensors file whose weights belong to this network, and traces the network. tfjs's current backend is closed
 * afterwards, so that the caller may hold no tensors.
 * @throws {UserError} if the file cannot be read, or its tensors do not fit the network.
 */
export async function graphOfWeights(
  file: string,
  { architecture, size, ...shape }: NetworkOfFile,
  tensors?: StoredTensors,
): Promise<{ graph: Graph; tensors: StoredTensors }> {
  const stored = tensors ?? (await readSafetensors(file)).tensors;
  const engine = await openEngine({ engine: 'cpu' });
  try {
    const { parameters } = buildNetwork(architecture, shape);
    requireFitting(parameters, stored, file);
    const graph = await traceNetwork(architecture, { ...shape, size });
    const floats = [...parameters.byName.keys()].map(
      (name) => [name, asFloat32(stored.get(name)!)!] as const,
    );
    return { graph, tensors: new Map(floats) };
  } finally {
    engine.close();
  }
}
