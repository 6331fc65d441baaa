// A step while it is being captured: ops become nodes of a TensorFlow graph, the graph becomes a function.
import { setAttribute } from './attributes.ts';
import type { Context } from './context.ts';
import { bytesOfBuffer, type Output, type Pointer } from './declarations.ts';
import { EngineError } from './errors.ts';
import { type InputDefinition, readInputDefinitions } from './op-definition.ts';
import {
  allocateTensor,
  type AnyTensor,
  type EagerTensor,
  int64s,
  isSymbolic,
  type SymbolicTensor,
} from './tensors.ts';
import { type Attribute, AttributeType } from './types.ts';

/** A function that TensorFlow can run under its name, until it is closed. */
export interface GraphFunction {
  readonly name: string;
  readonly outputs: number;
  /** How many nodes the graph had, for whoever is curious. */
  readonly nodes: number;
  close(): void;
}

/** An eager tensor that the step used: the function takes it as an input. */
export interface CapturedTensor {
  /** Its number in the tensor table when it was captured. */
  readonly id: number;
  /** A reference of our own to its value, which outlives the tensor. */
  readonly tensor: EagerTensor;
  readonly symbol: SymbolicTensor;
}

export interface Trace {
  placeholder(dtype: number, shape: readonly number[]): SymbolicTensor;
  constant(shape: readonly number[], content: { dtype: number; values: unknown }): SymbolicTensor;
  operation(call: {
    name: string;
    attributes: readonly Attribute[];
    inputs: readonly SymbolicTensor[];
    outputs: number;
  }): SymbolicTensor[];
  /** The tensor as this graph sees it: an eager one becomes an input of the function. */
  symbolOf(id: number, tensor: AnyTensor): SymbolicTensor;
  readonly captured: readonly CapturedTensor[];
  /** Lets go of a captured tensor's value; the function's input stays. */
  release(tensor: CapturedTensor): void;
  /** Makes the function. The graph is gone afterwards. */
  finish(inputs: readonly SymbolicTensor[], outputs: readonly SymbolicTensor[]): GraphFunction;
  abandon(): void;
}

/** For a symbolic tensor that is used where its graph is not. */
export function usedOutside(): EngineError {
  return new EngineError('capture', 'a tensor made inside a captured step was used outside of it', {
    remedy: 'return it from the step as an output',
  });
}

let functions = 0;

export function openTrace(context: Context): Trace {
  const { api, status } = context;
  const graph = api.TF_NewGraph();
  const token = {};
  const captured = new Map<number, CapturedTensor>();
  const definitions = new Map<string, InputDefinition[]>();
  let nodes = 0;

  const begin = (type: string) => api.TF_NewOperation(graph, type, `n${nodes++}`);
  const end = (description: Pointer, doing: string) => {
    const oper = api.TF_FinishOperation(description, status);
    context.check(`${doing} (while capturing a step)`);
    return oper;
  };

  const shapeOf = (output: Output, op: string): number[] => {
    const rank = api.TF_GraphGetTensorNumDims(graph, output, status);
    context.check(op);
    if (rank === 0) return [];
    const dims = new BigInt64Array(Math.max(rank, 0)).fill(-1n);
    if (rank > 0) api.TF_GraphGetTensorShape(graph, output, dims, rank, status);
    context.check(op);
    if (rank < 0 || dims.includes(-1n)) {
      if (op === 'FusedBatchNormV3' && output.index === 5) return [0]; // opaque, for the gradient op alone
      throw new EngineError(
        'capture',
        `${op} gives a tensor whose shape depends on values, inside a captured step`,
        {
          remedy: 'use an op with a fixed shape, or do this outside the step',
        },
      );
    }
    return Array.from(dims, Number);
  };

  const symbol = (output: Output, op: string): SymbolicTensor => ({
    output,
    graph: token,
    dtype: api.TF_OperationOutputType(output),
    shape: shapeOf(output, op),
  });

  const placeholder = (dtype: number, shape: readonly number[]) => {
    const description = begin('Placeholder');
    api.TF_SetAttrType(description, 'dtype', dtype);
    api.TF_SetAttrShape(description, 'shape', int64s(shape), shape.length);
    return symbol({ oper: end(description, 'Placeholder'), index: 0 }, 'Placeholder');
  };

  const inputsOf = (name: string): InputDefinition[] => {
    let definition = definitions.get(name);
    if (definition === undefined) {
      const buffer = api.TF_NewBuffer();
      try {
        api.TF_GraphGetOpDef(graph, name, buffer, status);
        context.check(name);
        definition = readInputDefinitions(bytesOfBuffer(buffer));
      } finally {
        api.TF_DeleteBuffer(buffer);
      }
      definitions.set(name, definition);
    }
    return definition;
  };

  const operation: Trace['operation'] = ({ name, attributes, inputs, outputs }) => {
    const definition = inputsOf(name);
    const lists = definition.filter(({ list }) => list);
    const description = begin(name);
    let at = 0;
    for (const { list, countedBy } of definition) {
      if (!list) {
        const input = inputs[at++];
        if (input === undefined)
          throw new EngineError('capture', `${name} takes ${definition.length} inputs, not ${inputs.length}`);
        api.TF_AddInput(description, input.output);
        continue;
      }
      const counted = attributes.find((attribute) => attribute.name === countedBy)?.value;
      const length = lists.length === 1 ? inputs.length - (definition.length - 1) : Number(counted);
      api.TF_AddInputList(
        description,
        inputs.slice(at, at + length).map(({ output }) => output),
        length,
      );
      at += length;
    }
    const counts = new Set(lists.map(({ countedBy }) => countedBy));
    for (const attribute of attributes)
      if (!counts.has(attribute.name))
        setAttribute(context, { family: 'TF_', pointer: description }, attribute);
    const oper = end(description, name);
    return Array.from({ length: outputs }, (_, index) => symbol({ oper, index }, name));
  };

  const close = () => {
    api.TF_DeleteGraph(graph);
  };
  const release = ({ id, tensor }: CapturedTensor) => {
    if (captured.delete(id)) api.TFE_DeleteTensorHandle(tensor.handle);
  };
  const releaseAll = () => [...captured.values()].forEach(release);

  return {
    placeholder,
    operation,
    constant(shape, content) {
      const description = begin('Const');
      const tensor = allocateTensor(context, shape, content);
      api.TF_SetAttrTensor(description, 'value', tensor, status);
      api.TF_DeleteTensor(tensor);
      context.check('Const');
      api.TF_SetAttrType(description, 'dtype', content.dtype);
      return symbol({ oper: end(description, 'Const'), index: 0 }, 'Const');
    },
    symbolOf(id, tensor) {
      if (isSymbolic(tensor)) {
        if (tensor.graph === token) return tensor;
        throw usedOutside();
      }
      let known = captured.get(id);
      if (known === undefined) {
        const handle = api.TFE_TensorHandleCopySharingTensor(tensor.handle, status);
        context.check('capture a tensor');
        known = { id, tensor: { ...tensor, handle }, symbol: placeholder(tensor.dtype, tensor.shape) };
        captured.set(id, known);
      }
      return known.symbol;
    },
    get captured() {
      return [...captured.values()];
    },
    release,
    finish(inputs, outputs) {
      // An Identity for each output: a function may not return an input, nor one tensor twice.
      const ends = outputs.map((output) => {
        const type = { name: 'T', type: AttributeType.TYPE, value: output.dtype };
        return operation({ name: 'Identity', attributes: [type], inputs: [output], outputs: 1 })[0]!.output;
      });
      const starts = inputs.map(({ output }) => output);
      const name = `step_${process.pid}_${functions++}`;
      const made = api.TF_GraphToFunction(
        graph, name, 0, -1, null, starts.length, starts, ends.length, ends, null, null, null, status,
      ); // prettier-ignore
      context.check('make a function of the captured step');
      api.TFE_ContextAddFunction(context.handle, made, status);
      api.TF_DeleteFunction(made);
      context.check('register the captured step');
      close();
      return {
        name,
        nodes,
        outputs: ends.length,
        close() {
          releaseAll();
          api.TFE_ContextRemoveFunction(context.handle, name, status);
        },
      };
    },
    abandon() {
      close();
      releaseAll();
    },
  };
}
