// Converts a network and its weights to an ONNX model: opset 17, channels first, names as in the state dict.
// https://onnx.ai/onnx/intro/concepts.html. `messages` below is the part of onnx.proto that is needed here.
import { GROUPED_CONV2D } from '@ct-ensemble/engine';
import protobuf from 'protobufjs/light.js';
import type { StoredTensors } from '../weights/safetensors.ts';
import { layerOf } from './summary.ts';
import type { Graph, Op, Value, Window } from './trace.ts';

/** Version of the ONNX operator set that is written. */
export const ONNX_OPSET = 17;

export interface OnnxOptions {
  graph: Graph;
  /** The state dict of the traced network, with PyTorch's names and layouts. */
  tensors: StoredTensors;
  /** `classes`: a classifier, whose probabilities are the softmax over the classes. `map`: a segmenter, with a sigmoid. */
  output: 'classes' | 'map';
  /** Name of the ONNX graph. */
  name: string;
  /** Texts for the model's `metadata_props`. */
  metadata: Readonly<Record<string, string>>;
}

/**
 * Returns the bytes of the ONNX file; equal arguments give equal bytes. Input: `volume`, float32 in [0, 1],
 * [batch, slices, height, width]; with two views the slices of the first come first. Outputs: `logits` and `probabilities`,
 * [batch, classes], for a segmenter [batch, classes, height, width].
 * @throws {Error} for an operation that has no translation here.
 */
export function onnxModel({ graph, tensors, output, name, metadata }: OnnxOptions): Uint8Array {
  const { nodes, initialisers } = emit({ graph, tensors, input: 'volume', output: 'logits', prefix: '' });
  const last = { input: ['logits'], name: 'probabilities' };
  nodes.push(
    output === 'classes'
      ? node({ ...last, opType: 'Softmax', attribute: [integer('axis', 1)] })
      : node({ ...last, opType: 'Sigmoid', attribute: [] }),
  );
  return encodeModel({
    name,
    nodes,
    initialisers,
    inputs: [valueInfo('volume', graph.input)],
    outputs: [valueInfo('logits', graph.output), valueInfo('probabilities', graph.output)],
    metadata,
  });
}

/** The parts of an ONNX model that differ from model to model. */
export interface ModelParts {
  name: string;
  nodes: readonly Node[];
  initialisers: readonly Initialiser[];
  inputs: readonly object[];
  outputs: readonly object[];
  metadata: Readonly<Record<string, string>>;
}

/** The bytes of an ONNX file. */
export function encodeModel({
  name,
  nodes,
  initialisers,
  inputs,
  outputs,
  metadata,
}: ModelParts): Uint8Array {
  const model = {
    irVersion: 8,
    producerName: 'ct-ensemble',
    opsetImport: [{ domain: '', version: ONNX_OPSET }],
    graph: { name, node: nodes, initializer: initialisers, input: inputs, output: outputs },
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
  };
  return messages.lookupType('ModelProto').encode(model).finish();
}

export interface Node {
  name: string;
  opType: string;
  input: string[];
  output: string[];
  attribute: object[];
}

export interface Initialiser {
  name: string;
  dims: readonly number[];
  dataType: number;
  rawData: Uint8Array;
}

// TensorProto.DataType.
export const FLOAT = 1;
export const UINT8 = 2;
const INT64 = 7;

export interface EmitOptions {
  graph: Graph;
  tensors: StoredTensors;
  /** Name of the value that the network gets. */
  input: string;
  /** Name for the network's logits. */
  output: string;
  /** Precedes the names of all nodes and initialisers. */
  prefix: string;
}

/** Translates a network to nodes and initialisers of ONNX. @throws {Error} for an operation that has no translation here. */
export function emit({ graph, tensors, input: given, output, prefix }: EmitOptions) {
  const nodes: Node[] = [];
  const initialisers = new Map<string, Initialiser>();
  /** The name of each value in the file. */
  const names = new Map<Value, string>([[graph.input, given]]);
  /** The node that computes each value. */
  const makers = new Map<Value, Node>();
  /** How many operations use each value. */
  const uses = new Map<Value, number>();
  for (const { inputs } of graph.ops) for (const value of inputs) uses.set(value, (uses.get(value) ?? 0) + 1);
  const taken = new Map<string, number>();
  /** A name that no other node or initialiser has: with a number appended if it was given before. */
  const fresh = (base: string) => {
    const name = prefix + base;
    const count = taken.get(name) ?? 0;
    taken.set(name, count + 1);
    return count === 0 ? name : `${name}_${count}`;
  };
  let layer = 'input';

  /** Adds a parameter or constant to the file. A vector that is combined with an image has one value per channel: [C, 1, 1]. */
  function initialiser(value: Value, rank: number): string {
    const isVector = value.shape.length === 1 && rank === 4;
    if (value.parameter) {
      const name = prefix + value.parameter.name;
      const { data, shape } = tensors.get(value.parameter.name)!;
      initialisers.set(name, {
        name,
        dims: isVector ? [...shape, 1, 1] : shape,
        dataType: FLOAT,
        rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      });
      return name;
    }
    const name = fresh(`${layer}.constant`);
    const dims = isVector ? [value.shape[0]!, 1, 1] : value.shape;
    initialisers.set(name, floats(name, dims, value.constant!));
    return name;
  }

  /** The name of an operation's input. An input that no operation computes becomes an initialiser. */
  const nameOf = (value: Value, rank = value.shape.length): string =>
    names.get(value) ?? initialiser(value, rank);

  const int64 = (values: readonly number[]) => {
    const name = fresh(`${layer}.sizes`);
    const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    initialisers.set(name, { name, dims: [values.length], dataType: INT64, rawData });
    return name;
  };

  for (const op of graph.ops) {
    layer = layerOf(op) ?? layer;
    if (addBias(op)) continue;
    const { opType, input, attribute = [] } = translate(op);
    const made = node({ opType, input, name: fresh(`${layer}.${opType}`), attribute });
    if (op.outputs.length > 1) made.output = op.outputs.map((_, i) => `${made.name}.${i}`);
    op.outputs.forEach((value, i) => {
      names.set(value, made.output[i]!);
      makers.set(value, made);
    });
    nodes.push(made);
  }
  const last = names.get(graph.output)!;
  makers.get(graph.output)!.output = [output];
  for (const { input } of nodes) input.forEach((name, i) => name === last && (input[i] = output));
  return { nodes, initialisers: [...initialisers.values()] };

  /** Makes an addition of a vector the bias of the convolution or product before it, if nothing else uses that one's output. */
  function addBias({ kernel, inputs, outputs }: Op): boolean {
    const [sum, bias] = inputs;
    const maker = kernel === 'Add' ? makers.get(sum!) : undefined;
    const takes = maker?.input.length === 2 && ['Conv', 'Gemm'].includes(maker.opType);
    if (!takes || bias!.parameter === undefined || bias!.shape.length !== 1 || uses.get(sum!) !== 1)
      return false;
    maker.input.push(nameOf(bias!));
    names.set(outputs[0]!, maker.output[0]!);
    makers.set(outputs[0]!, maker);
    return true;
  }

  function translate({
    kernel,
    inputs,
    attributes,
  }: Op): Pick<Node, 'opType' | 'input'> & { attribute?: object[] } {
    const [x, y] = inputs;
    const all = () => inputs.map((value) => nameOf(value));
    const rank = Math.max(...inputs.map(({ shape }) => shape.length));
    switch (kernel) {
      case 'Conv2D':
      case GROUPED_CONV2D:
        return {
          opType: 'Conv',
          input: all(),
          attribute: [...window(attributes), integer('group', x!.shape[3]! / y!.shape[2]!)],
        };
      case 'BatchMatMul':
        return { opType: 'Gemm', input: all(), attribute: [integer('transB', 1)] }; // PyTorch's [out, in]
      case 'FusedBatchNorm':
        return {
          opType: 'BatchNormalization',
          input: all(),
          attribute: [float('epsilon', attributes['varianceEpsilon'] as number)],
        };
      case 'MaxPool':
        return { opType: 'MaxPool', input: all(), attribute: window(attributes) };
      case 'AvgPool':
        return { opType: 'AveragePool', input: all(), attribute: window(attributes) }; // padding does not count
      case 'Relu':
      case 'Sigmoid':
        return { opType: kernel, input: all() };
      case 'Add':
        return { opType: 'Add', input: inputs.map((value) => nameOf(value, rank)) };
      case 'Multiply':
        return { opType: 'Mul', input: inputs.map((value) => nameOf(value, rank)) };
      case 'Concat':
        return {
          opType: 'Concat',
          input: all(),
          attribute: [integer('axis', channelsFirst(attributes['axis'] as number))],
        };
      case 'SplitV':
        return {
          opType: 'Split',
          input: [nameOf(x!), int64(attributes['numOrSizeSplits'] as number[])],
          attribute: [integer('axis', channelsFirst(attributes['axis'] as number))],
        };
      case 'PadV2': {
        const pads = attributes['paddings'] as [number, number][];
        const ordered = [0, 3, 1, 2].map((axis) => pads[axis]!);
        const ends = [...ordered.map(([before]) => before), ...ordered.map(([, after]) => after)];
        return { opType: 'Pad', input: [nameOf(x!), int64(ends)] };
      }
      case 'Mean':
        return {
          opType: 'ReduceMean',
          input: all(),
          attribute: [
            integers('axes', (attributes['axis'] as number[]).map(channelsFirst)),
            integer('keepdims', attributes['keepDims'] ? 1 : 0),
          ],
        };
      case 'ResizeNearestNeighbor': {
        const [height, width] = attributes['size'] as [number, number];
        const scales = fresh(`${layer}.scales`);
        initialisers.set(scales, floats(scales, [4], [1, 1, height / x!.shape[1]!, width / x!.shape[2]!]));
        return {
          opType: 'Resize',
          input: [nameOf(x!), '', scales],
          attribute: [
            text('mode', 'nearest'),
            text('coordinate_transformation_mode', 'asymmetric'),
            text('nearest_mode', 'floor'),
          ],
        };
      }
      default:
        throw new Error(
          `the ONNX export has no translation of the operation ${kernel}: add it to translate() in onnx.ts`,
        );
    }
  }
}

/** The position in [batch, channels, height, width] of an axis of [batch, height, width, channels]. */
const channelsFirst = (axis: number) => [0, 2, 3, 1][axis]!;

/** A node whose single output has the node's name. */
export const node = (made: Pick<Node, 'name' | 'opType' | 'input' | 'attribute'>): Node => ({
  ...made,
  output: [made.name],
});

export const floats = (name: string, dims: readonly number[], values: ArrayLike<number>): Initialiser => ({
  name,
  dims,
  dataType: FLOAT,
  rawData: new Uint8Array(Float32Array.from(values).buffer),
});

// AttributeProto.type: FLOAT 1, INT 2, STRING 3, INTS 7.
const float = (name: string, f: number) => ({ name, type: 1, f });
export const integer = (name: string, i: number) => ({ name, type: 2, i });
const text = (name: string, s: string) => ({ name, type: 3, s: new TextEncoder().encode(s) });
export const integers = (name: string, ints: readonly number[]) => ({ name, type: 7, ints });

function window(attributes: Op['attributes']) {
  const { size, strides, pads } = attributes as unknown as Window;
  return [integers('kernel_shape', size), integers('strides', strides), integers('pads', pads)];
}

/** An input or output of the model: [batch, …], images with the channels first. */
export function valueInfo(name: string, { shape }: Pick<Value, 'shape'>, elemType = FLOAT) {
  const [, ...rest] = shape.length === 4 ? [0, 3, 1, 2].map((axis) => shape[axis]!) : shape;
  const dim = [{ dimParam: 'batch' }, ...rest.map((dimValue) => ({ dimValue }))];
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}

const message = (fields: Record<string, [type: string, id: number]>) => ({
  fields: Object.fromEntries(
    Object.entries(fields).map(([name, [type, id]]) => {
      const [, repeated, of] = /^(repeated )?(.*)$/.exec(type)!;
      return [name, { type: of!, id, ...(repeated ? { rule: 'repeated' } : {}) }];
    }),
  ),
});

const messages = protobuf.Root.fromJSON({
  nested: {
    ModelProto: message({
      irVersion: ['int64', 1],
      producerName: ['string', 2],
      graph: ['GraphProto', 7],
      opsetImport: ['repeated OperatorSetIdProto', 8],
      metadataProps: ['repeated StringStringEntryProto', 14],
    }),
    OperatorSetIdProto: message({ domain: ['string', 1], version: ['int64', 2] }),
    StringStringEntryProto: message({ key: ['string', 1], value: ['string', 2] }),
    GraphProto: message({
      node: ['repeated NodeProto', 1],
      name: ['string', 2],
      initializer: ['repeated TensorProto', 5],
      input: ['repeated ValueInfoProto', 11],
      output: ['repeated ValueInfoProto', 12],
    }),
    NodeProto: message({
      input: ['repeated string', 1],
      output: ['repeated string', 2],
      name: ['string', 3],
      opType: ['string', 4],
      attribute: ['repeated AttributeProto', 5],
    }),
    AttributeProto: message({
      name: ['string', 1],
      f: ['float', 2],
      i: ['int64', 3],
      s: ['bytes', 4],
      ints: ['repeated int64', 8],
      type: ['int32', 20],
    }),
    TensorProto: message({
      dims: ['repeated int64', 1],
      dataType: ['int32', 2],
      name: ['string', 8],
      rawData: ['bytes', 9],
    }),
    ValueInfoProto: message({ name: ['string', 1], type: ['TypeProto', 2] }),
    TypeProto: message({ tensorType: ['TypeTensor', 1] }),
    TypeTensor: message({ elemType: ['int32', 1], shape: ['TensorShapeProto', 2] }),
    TensorShapeProto: message({ dim: ['repeated Dimension', 1] }),
    Dimension: message({ dimValue: ['int64', 1], dimParam: ['string', 2] }),
  },
});
