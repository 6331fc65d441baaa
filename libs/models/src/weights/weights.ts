// Writes and reads a model's parameters as safetensors files, which PyTorch loads with strict=True.
import { UserError } from '@ct-ensemble/core';
import { fromPyTorch, pytorchShape, toPyTorch, type Parameters } from './parameters.ts';
import {
  asFloat32,
  readSafetensors,
  writeSafetensors,
  type Metadata,
  type StoredTensor,
  type StoredTensorOf,
  type StoredTensors,
} from './safetensors.ts';

/** Writes all parameters and counters, and the metadata, to a safetensors file. */
export async function saveWeights(parameters: Parameters, path: string, metadata: Metadata = {}) {
  await writeSafetensors(path, await exportTensors(parameters), metadata);
}

/**
 * Sets every parameter from a safetensors file and returns the file's metadata.
 * @throws {UserError} if the file cannot be read, or if tensors are missing, unexpected, or of another shape or type; in that case
 * no parameter has changed.
 */
export async function loadWeights(parameters: Parameters, path: string): Promise<Metadata> {
  const { tensors, metadata } = await readSafetensors(path);
  importTensors(parameters, tensors, path);
  return metadata;
}

/** Returns copies of all parameters and counters as a state dict with PyTorch's names and layouts. */
export async function exportTensors(parameters: Parameters): Promise<Map<string, StoredTensor>> {
  const tensors = new Map<string, StoredTensor>();
  for (const { name, layout, variable } of parameters.byName.values()) {
    tensors.set(name, await toPyTorch(variable, layout));
  }
  for (const [name, count] of parameters.counters) {
    tensors.set(name, { dtype: 'I64', shape: [], data: BigInt64Array.of(count) });
  }
  return tensors;
}

/**
 * Checks that a state dict with PyTorch's names and layouts fits the model; all floating-point types are accepted. Counters
 * (`num_batches_tracked`) may be missing, as in PyTorch. `file` is named in errors.
 * @throws {UserError} if tensors are missing, unexpected, or of another shape or type.
 */
export function requireFitting({ byName, counters }: Parameters, tensors: StoredTensors, file?: string) {
  const problems: string[] = [];
  const check = (name: string, expected: { dtype: string; shape: readonly number[] }) => {
    const found = tensors.get(name);
    if (found !== undefined && described(found) !== described(expected)) {
      problems.push(`${name} is ${described(found)}, not ${described(expected)}`);
    }
  };
  const checkFloats = (name: string, found: StoredTensor, shape: readonly number[]) => {
    const isFloat = ['F32', 'F64', 'F16', 'BF16'].includes(found.dtype);
    check(name, { dtype: isFloat ? found.dtype : 'F32', shape });
  };
  for (const { name, layout, variable } of byName.values()) {
    const found = tensors.get(name);
    if (found) checkFloats(name, found, pytorchShape(variable.shape, layout));
    else problems.push(`${name} is missing`);
  }
  for (const name of counters.keys()) check(name, { dtype: 'I64', shape: [] });
  for (const name of tensors.keys()) {
    if (!byName.has(name) && !counters.has(name)) problems.push(`${name} is unexpected`);
  }
  if (problems.length > 0) {
    throw new UserError(`the weights do not fit the model: ${firstOf(problems)}`, {
      ...(file === undefined ? {} : { file }),
      remedy: 'use weights of the same architecture, depth and number of classes',
    });
  }
}

/**
 * Sets every parameter from a state dict with PyTorch's names and layouts, which must fit as `requireFitting` says.
 * @throws {UserError} as `loadWeights`; in that case no parameter has changed.
 */
export function importTensors(parameters: Parameters, tensors: StoredTensors, file?: string) {
  requireFitting(parameters, tensors, file);
  const { byName, counters } = parameters;
  for (const { name, layout, variable } of byName.values()) {
    const values = fromPyTorch(asFloat32(tensors.get(name)!)!, layout);
    variable.assign(values);
    values.dispose();
  }
  for (const name of counters.keys()) {
    const stored = tensors.get(name) as StoredTensorOf<'I64'> | undefined;
    if (stored !== undefined) counters.set(name, stored.data[0]!);
  }
}

/** The first ten problems as one text, and how many more there are. */
export function firstOf(problems: readonly string[]): string {
  const more = problems.length > 10 ? `; and ${problems.length - 10} more` : '';
  return problems.slice(0, 10).join('; ') + more;
}

/** Type and shape of a tensor as text, for example `F32 [64, 3, 7, 7]`. */
export const described = ({ dtype, shape }: { dtype: string; shape: readonly number[] }) =>
  `${dtype} [${shape.join(', ')}]`;
