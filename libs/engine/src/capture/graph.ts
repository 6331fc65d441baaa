// The trace of a step being captured: ops become nodes of a TensorFlow graph, and the graph becomes a function.
import { setAttribute } from '../native/attributes.ts';
import type { Context } from '../devices/context.ts';
import { bytesOfBuffer, type Output, type Pointer } from '../native/declarations.ts';
import { EngineError } from '../errors.ts';
import { type InputDefinition, readInputDefinitions } from '../native/op-definition.ts';
import { currentOp, labelled } from '../backend/op-name.ts';
import {
  allocateTensor,
  type AnyTensor,
  type EagerTensor,
  int64s,
  isSymbolic,
  isVariable,
  type SymbolicTensor,
  type VariableTensor,
} from '../native/tensors.ts';
import { type Attribute, AttributeType, DataType } from '../native/types.ts';

/** A function registered in TensorFlow under its name until `close`. */
export interface GraphFunction {
  readonly name: string;
  readonly outputs: number;
  close(): void;
}

/** An eager tensor that the step used; it becomes an input of the function. */
export interface CapturedTensor {
  /** Its number in the tensor table when it was captured. */
  readonly id: number;
  /** A separate handle to the value, still valid when the original tensor is disposed. */
  readonly tensor: EagerTensor;
  readonly symbol: SymbolicTensor;
}

/** A variable that the step used; its resource becomes an input of the function. */
export interface CapturedVariable {
  /** Its number in the tensor table when it was captured. */
  readonly id: number;
  readonly symbol: SymbolicTensor;
  /** Whether the step changes it. */
  readonly written: boolean;
}

export interface GraphCall {
  name: string;
  attributes: readonly Attribute[];
  inputs: readonly SymbolicTensor[];
  outputs: number;
  /** Nodes that must run before this one (control inputs). */
  after?: Iterable<Pointer>;
}

export interface TraceOptions {
  /** Names of the ops to compute in bfloat16, between casts; all other ops are left unchanged. */
  bfloat16?: ReadonlySet<string>;
  /** Checks every float result: the first NaN or infinity ends the run with an error that names the op. */
  checkNumerics?: boolean;
  /** XLA will compile the function, so it must not contain Switch ops. */
  jit?: boolean;
}

export interface Trace {
  readonly jit: boolean;
  placeholder(dtype: number, shape: readonly number[]): SymbolicTensor;
  constant(shape: readonly number[], content: { dtype: number; values: unknown }): SymbolicTensor;
  operation(call: GraphCall): SymbolicTensor[];
  /** The tensor's symbol in this graph: an eager tensor becomes an input of the function, a variable is read. */
  symbolOf(id: number, tensor: AnyTensor): SymbolicTensor;
  /** Adds an assignment to a variable. */
  assign(target: { id: number; variable: VariableTensor }, value: SymbolicTensor): void;
  /** Adds an op that updates variables in place; its operands are their resources, then the call's inputs. */
  update(call: GraphCall, targets: readonly { id: number; variable: VariableTensor }[]): void;
  readonly captured: readonly CapturedTensor[];
  readonly variables: readonly CapturedVariable[];
  /** Whether the graph has grouped convolutions. */
  readonly grouped: boolean;
  /** Makes a function from the present graph; without `writes` it does not change any variable. */
  toFunction(
    inputs: readonly SymbolicTensor[],
    ends: { outputs: readonly SymbolicTensor[]; writes: boolean },
  ): GraphFunction;
  /** Frees the graph, and the captured tensors unless a function still uses them. */
  close(): void;
}

/** The error for a symbolic tensor used outside the step that it belongs to. */
export function usedOutside(): EngineError {
  return new EngineError('capture', 'a tensor made inside a captured step was used outside of it', {
    remedy: 'return it from the step as an output',
  });
}

let functions = 0;

/** State of a variable within one graph. */
interface VariableState extends CapturedVariable {
  written: boolean;
  /** The value read since the last write. */
  read?: SymbolicTensor | undefined;
  /** Nodes that the next write must wait for: reads, the ops that use them, and the previous write. */
  before: Set<Pointer>;
  lastWrite?: Pointer;
}

export function openTrace(context: Context, options: TraceOptions = {}): Trace {
  const { api, status } = context;
  const graph = api.TF_NewGraph();
  const token = {};
  const captured = new Map<number, CapturedTensor>();
  const variables = new Map<number, VariableState>();
  /** Nodes that read a variable → that variable. */
  const readers = new Map<Pointer, VariableState>();
  const definitions = new Map<string, InputDefinition[]>();
  let nodes = 0;

  const begin = (type: string) =>
    api.TF_NewOperation(graph, type, `${currentOp() ?? 'step'}/${type}_${nodes++}`);
  const end = (description: Pointer, doing: string) => {
    const oper = api.TF_FinishOperation(description, status);
    context.check(() => `${labelled(doing)} inside a captured step`);
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
      if (op === 'FusedBatchNormV3' && output.index === 5) return [0]; // reserved for the gradient op, never read
      throw new EngineError(
        'capture',
        `${labelled(op)} gives a tensor whose shape depends on values, inside a captured step`,
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

  /** Adds a node to the graph and returns TensorFlow's pointer to it. */
  const addNode = ({ name, attributes, inputs, after = [] }: GraphCall): Pointer => {
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
    for (const node of after) api.TF_AddControlInput(description, node);
    const counts = new Set(lists.map(({ countedBy }) => countedBy));
    for (const attribute of attributes)
      if (!counts.has(attribute.name))
        setAttribute(context, { family: 'TF_', pointer: description }, attribute);
    const oper = end(description, name);
    for (const { output } of inputs) readers.get(output.oper)?.before.add(oper);
    return oper;
  };

  const plainOperation = (call: GraphCall): SymbolicTensor[] => {
    const oper = addNode(call);
    return Array.from({ length: call.outputs }, (_, index) => symbol({ oper, index }, call.name));
  };

  const cast = (tensor: SymbolicTensor, to: number): SymbolicTensor => {
    const type = (name: string, value: number) => ({ name, type: AttributeType.TYPE, value });
    const attributes = [type('SrcT', tensor.dtype), type('DstT', to)];
    return plainOperation({ name: 'Cast', attributes, inputs: [tensor], outputs: 1 })[0]!;
  };

  /** Adds the op in bfloat16, between casts; TensorFlow removes the casts between two such ops. */
  const inBfloat16 = (call: GraphCall): SymbolicTensor[] => {
    const inputs = call.inputs.map((input) =>
      input.dtype === DataType.FLOAT ? cast(input, DataType.BFLOAT16) : input,
    );
    const attributes = call.attributes.map((attribute) =>
      attribute.name === 'T' ? { ...attribute, value: DataType.BFLOAT16 } : attribute,
    );
    return plainOperation({ ...call, inputs, attributes }).map((output) =>
      output.dtype === DataType.BFLOAT16 ? cast(output, DataType.FLOAT) : output,
    );
  };

  const checked = (tensor: SymbolicTensor, op: string): SymbolicTensor => {
    if (tensor.dtype !== DataType.FLOAT || op === 'FusedBatchNormV3') return tensor;
    const attributes = [
      { name: 'T', type: AttributeType.TYPE, value: tensor.dtype },
      {
        name: 'message',
        type: AttributeType.STRING,
        value: `${labelled(op)} gave a value that is not finite`,
      },
    ];
    return plainOperation({ name: 'CheckNumerics', attributes, inputs: [tensor], outputs: 1 })[0]!;
  };

  let grouped = false;
  const operation: Trace['operation'] = (call) => {
    const [image, filter] = call.inputs;
    grouped ||= call.name === 'Conv2D' && image!.shape[3] !== filter!.shape[2];
    const outputs = options.bfloat16?.has(call.name) ? inBfloat16(call) : plainOperation(call);
    return options.checkNumerics ? outputs.map((output) => checked(output, call.name)) : outputs;
  };

  const stateOf = (id: number, variable: VariableTensor): VariableState => {
    let state = variables.get(id);
    if (state === undefined) {
      const { dtype, shape } = variable.resource;
      state = { id, symbol: placeholder(dtype, shape), written: false, before: new Set() };
      variables.set(id, state);
    }
    return state;
  };

  const read = (id: number, variable: VariableTensor): SymbolicTensor => {
    const state = stateOf(id, variable);
    if (state.read === undefined) {
      const { dtype, shape } = variable;
      const attributes = [{ name: 'dtype', type: AttributeType.TYPE, value: dtype }];
      const after = state.lastWrite === undefined ? [] : [state.lastWrite];
      const oper = addNode({
        name: 'ReadVariableOp',
        attributes,
        inputs: [state.symbol],
        outputs: 1,
        after,
      });
      const output = { oper, index: 0 };
      api.TF_GraphSetTensorShape(graph, output, int64s(shape), shape.length, status);
      context.check('ReadVariableOp');
      state.read = { output, graph: token, dtype, shape };
      state.before.add(oper);
      readers.set(oper, state);
    }
    return state.read;
  };

  const update: Trace['update'] = (call, targets) => {
    const states = targets.map(({ id, variable }) => stateOf(id, variable));
    const after = new Set(states.flatMap(({ before }) => [...before]));
    for (const { output } of call.inputs) after.delete(output.oper);
    const oper = addNode({ ...call, inputs: [...states.map(({ symbol }) => symbol), ...call.inputs], after });
    for (const state of states) {
      state.written = true;
      state.read = undefined;
      state.before = new Set([oper]);
      state.lastWrite = oper;
    }
  };

  const release = () => {
    for (const { tensor } of captured.values()) api.TFE_DeleteTensorHandle(tensor.handle);
    captured.clear();
  };
  let used = false;

  return {
    jit: options.jit ?? false,
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
      if (isVariable(tensor)) return read(id, tensor);
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
    assign(target, value) {
      const attributes = [{ name: 'dtype', type: AttributeType.TYPE, value: value.dtype }];
      update({ name: 'AssignVariableOp', attributes, inputs: [value], outputs: 0 }, [target]);
    },
    update,
    get captured() {
      return [...captured.values()];
    },
    get variables() {
      return [...variables.values()];
    },
    get grouped() {
      return grouped;
    },
    toFunction(inputs, { outputs, writes }) {
      // Each output gets an Identity, since a function may not return an input or the same tensor twice.
      const ends = outputs.map((output) => {
        const type = { name: 'T', type: AttributeType.TYPE, value: output.dtype };
        return plainOperation({ name: 'Identity', attributes: [type], inputs: [output], outputs: 1 })[0]!
          .output;
      });
      const starts = inputs.map(({ output }) => output);
      const effects = new Set(
        writes ? [...variables.values()].flatMap(({ lastWrite }) => lastWrite ?? []) : [],
      );
      const name = `step_${process.pid}_${functions++}`;
      const made = api.TF_GraphToFunctionWithControlOutputs(
        graph, name, 0, -1, null, starts.length, starts, ends.length, ends, null,
        effects.size, BigUint64Array.from(effects as Set<bigint>), null, null, null, status,
      ); // prettier-ignore
      context.check('make a function of the captured step');
      api.TFE_ContextAddFunction(context.handle, made, status);
      api.TF_DeleteFunction(made);
      context.check('register the captured step');
      used = true;
      const free = () => {
        if (!context.cleanups.delete(free)) return;
        release();
        api.TFE_ContextRemoveFunction(context.handle, name, status);
      };
      context.cleanups.add(free);
      return {
        name,
        outputs: ends.length,
        close() {
          if (context.running.size === 0) free();
          else void Promise.allSettled(context.running).then(free); // this function may be running
        },
      };
    },
    close() {
      api.TF_DeleteGraph(graph);
      if (!used) release();
    },
  };
}
