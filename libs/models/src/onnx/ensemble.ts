// Converts the networks of an ensemble to one ONNX model: bytes in, the ensemble's probabilities out.
import { UserError } from '@ct-ensemble/core';
import type { StoredTensors } from '../weights/safetensors.ts';
import {
  emit,
  encodeModel,
  floats,
  type Initialiser,
  integer,
  integers,
  type Node,
  node,
  UINT8,
  valueInfo,
} from './onnx.ts';
import type { Graph } from './trace.ts';

export interface EnsembleNetwork {
  /** Precedes the names of the member's nodes and weights in the file, as in `one/encoder1.weight`. */
  name: string;
  graph: Graph;
  /** The state dict of the traced network, with PyTorch's names and layouts. */
  tensors: StoredTensors;
  /** Name of the model's input that the network sees. */
  input: string;
}

export interface OnnxEnsembleOptions {
  /** Classifiers with the same number of classes. Members with the same input have volumes of the same shape. */
  members: readonly EnsembleNetwork[];
  /** Not negative, sum 1, one for each member. Default: the mean. */
  weights?: readonly number[] | undefined;
  /** The ensemble's probabilities become softmax(ln p / T), with p at least 1e-12. Default: they stay as they are. */
  temperature?: number | undefined;
  /** Name of the ONNX graph. */
  name: string;
  /** Texts for the model's `metadata_props`. */
  metadata: Readonly<Record<string, string>>;
}

/** Bytes of the largest file that protobuf can read. */
export const ONNX_LIMIT = 2 ** 31 - 1;

/** The least probability whose logarithm is taken, as in `applyTemperature` of libs/evaluation. */
const FLOOR = 1e-12;

/**
 * Returns the bytes of the ONNX file; equal arguments give equal bytes. Inputs: volumes of grey values, uint8,
 * [batch, slices, height, width]; with two views the slices of the first come first. Outputs: `probabilities`, float32
 * [batch, classes], and `members`, float32 [batch, members, classes], the softmax outputs that were combined.
 * @throws {UserError} if the file would be larger than `limit` bytes, by default those that protobuf allows.
 */
export function onnxEnsemble(options: OnnxEnsembleOptions, limit = ONNX_LIMIT): Uint8Array {
  const { members, weights, temperature, name, metadata } = options;
  requireSize(members, limit);
  const nodes: Node[] = [];
  const initialisers: Initialiser[] = [floats('scale', [], [1 / 255])];
  const inputs = new Map<string, object>();
  for (const { input, graph } of members) {
    if (inputs.has(input)) continue;
    inputs.set(input, valueInfo(input, graph.input, UINT8));
    nodes.push(
      node({ name: `${input}/float`, opType: 'Cast', input: [input], attribute: [integer('to', 1)] }),
      node({ name: `${input}/scaled`, opType: 'Mul', input: [`${input}/float`, 'scale'], attribute: [] }),
    );
  }
  const rows = members.map((member) => {
    const { graph, tensors, input } = member;
    const output = `${member.name}/logits`;
    const part = emit({ graph, tensors, input: `${input}/scaled`, output, prefix: `${member.name}/` });
    nodes.push(...part.nodes);
    initialisers.push(...part.initialisers);
    const softmax = { name: `${member.name}/probabilities`, opType: 'Softmax', input: [output] };
    const row = { name: `${member.name}/row`, opType: 'Unsqueeze', input: [softmax.name, 'axis'] };
    nodes.push(node({ ...softmax, attribute: [integer('axis', 1)] }), node({ ...row, attribute: [] }));
    return row.name;
  });
  initialisers.push(int64Axis);
  nodes.push(node({ name: 'members', opType: 'Concat', input: rows, attribute: [integer('axis', 1)] }));
  nodes.push(...combined());
  const [, classes] = members[0]!.graph.output.shape;
  return encodeModel({
    name,
    nodes,
    initialisers,
    inputs: [...inputs.values()],
    outputs: [
      valueInfo('probabilities', { shape: [1, classes!] }),
      valueInfo('members', { shape: [1, members.length, classes!] }),
    ],
    metadata,
  });

  /** The nodes from `members` to `probabilities`. */
  function combined(): Node[] {
    const mean = temperature === undefined ? 'probabilities' : 'mean';
    const made: Node[] = [];
    if (weights === undefined) {
      const attribute = [integers('axes', [1]), integer('keepdims', 0)];
      made.push(node({ name: mean, opType: 'ReduceMean', input: ['members'], attribute }));
    } else {
      initialisers.push(floats('weights', [members.length, 1], weights));
      made.push(
        node({ name: 'weighted', opType: 'Mul', input: ['members', 'weights'], attribute: [] }),
        node({ name: mean, opType: 'ReduceSum', input: ['weighted', 'axis'], attribute: [integer('keepdims', 0)] }), // prettier-ignore
      );
    }
    if (temperature === undefined) return made;
    initialisers.push(floats('floor', [], [FLOOR]), floats('temperature', [], [temperature]));
    const step = (name: string, opType: string, input: string[]) =>
      node({ name, opType, input, attribute: [] });
    return [
      ...made,
      step('floored', 'Max', [mean, 'floor']),
      step('log', 'Log', ['floored']),
      step('cooled', 'Div', ['log', 'temperature']),
      node({ name: 'probabilities', opType: 'Softmax', input: ['cooled'], attribute: [integer('axis', 1)] }),
    ];
  }
}

/** The axis of the members, as an input of the operations that take axes as tensors in opset 17. */
const int64Axis: Initialiser = {
  name: 'axis',
  dims: [1],
  dataType: 7,
  rawData: new Uint8Array(BigInt64Array.of(1n).buffer),
};

/** Refuses before the bytes are put together. Nodes and names take far less than the share that is set aside for them. */
function requireSize(members: readonly EnsembleNetwork[], limit: number) {
  let bytes = 0;
  for (const { tensors } of members) for (const { data } of tensors.values()) bytes += data.byteLength;
  if (bytes * 1.01 <= limit) return;
  const [size, most] = [bytes, limit].map((count) => (count / 1e9).toFixed(2));
  throw new UserError(
    `the weights of the ${members.length} members take ${size} GB, and an ONNX file may be at most ${most} GB large`,
    { remedy: 'export a submission of fewer members with --submission, or each member with --single' },
  );
}
