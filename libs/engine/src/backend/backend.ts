// The tfjs backend 'tensorflow': tfjs-node's backend class and kernels, running on the binding of binding.ts.
import { createRequire } from 'node:module';
import nodeUtil from 'node:util';
import tf, {
  type DataId,
  type DataType as DType,
  type KernelBackend,
  type Tensor,
  type TensorInfo,
  type Variable,
} from '@tensorflow/tfjs';
import type { Binding } from './binding.ts';
import { execute } from './eager.ts';
import { EngineError, stoppedError } from '../errors.ts';
import { type } from '../kernels/attributes.ts';
import type { Trace, TraceOptions } from '../capture/graph.ts';
import { currentOp } from './op-name.ts';
import type { Remembered } from '../capture/remember.ts';
import type { TensorMetadata, VariableTensor } from '../native/tensors.ts';
import { type Attribute, DataType } from '../native/types.ts';

export const BACKEND_NAME = 'tensorflow';

interface TensorEntry {
  shape: number[];
  dtype: number;
  /** Values that have not been uploaded yet; null afterwards. */
  values: unknown;
  id: number;
  /** The trace that was open when the values were given, if any. */
  trace?: object | undefined;
}

// tfjs-node calls two functions that Node 23 removed from util.
const util = nodeUtil as { isNullOrUndefined?: unknown; isArray?: unknown };
util.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined;
util.isArray ??= Array.isArray;

const require = createRequire(import.meta.url);
const { NodeJSKernelBackend } = require('@tensorflow/tfjs-node-gpu/dist/nodejs_kernel_backend') as {
  NodeJSKernelBackend: new (binding: object, packageName: string) => NodeBackend;
};

/** The members of tfjs-node's backend class used here; its own types declare most of them private. */
interface NodeBackend extends KernelBackend {
  readonly tensorMap: { get(dataId: DataId): TensorEntry };
  move(dataId: DataId, values: unknown, shape: number[], dtype: DType, refCount: number): void;
  readSync(dataId: DataId): Float32Array | Int32Array | Uint8Array;
  getInputTensorIds(tensors: readonly TensorInfo[]): number[];
  createOutputTensor(metadata: TensorMetadata): Tensor;
}

export class TensorFlowBackend extends NodeJSKernelBackend {
  readonly engine: Binding;
  /** While a step is traced: the tensor that each variable had before the trace. */
  #tensorsBefore: ReadonlyMap<Variable, Tensor> = new Map();
  #last: Promise<unknown> = Promise.resolve();

  constructor(binding: Binding) {
    super(binding, '@tensorflow/tfjs-node-gpu');
    this.engine = binding;
  }

  override move(...args: Parameters<NodeBackend['move']>) {
    super.move(...args);
    this.tensorMap.get(args[0]).trace = this.engine.trace;
  }

  /**
   * Values given before the trace are uploaded and become inputs of the captured step; values given during it become
   * constants.
   */
  override getInputTensorIds(tensors: readonly TensorInfo[]) {
    if (this.engine.trace) {
      for (const tensor of tensors) if ('dataId' in tensor) this.#uploadPending(tensor);
    }
    return super.getInputTensorIds(tensors);
  }

  override readSync(dataId: DataId) {
    if (this.engine.trace && !this.#isConstant(dataId)) {
      const op = currentOp();
      const where = op === undefined ? '' : ` (tf.${op})`;
      throw new EngineError('capture', `a tensor's values were read inside a captured step${where}`, {
        remedy:
          'return the tensor from the step and read it afterwards, or give the value to the step as an input',
      });
    }
    return super.readSync(dataId);
  }

  /** Reading a tensor waits for the GPU that computes it; this happens on another thread. On CPUs it is computed already. */
  override async read(dataId: DataId) {
    const { engine } = this;
    const { id, values, dtype } = this.tensorMap.get(dataId);
    const isPlain = (values ?? null) === null && dtype !== DataType.STRING;
    if (engine.trace !== undefined || !engine.isUsingGpuDevice() || !isPlain) return this.readSync(dataId);
    return (await engine.tensorData(id)) as ReturnType<NodeBackend['readSync']>;
  }

  /** The tensor's number in the binding's tensor table; uploads its values first if necessary. */
  idOf(tensor: TensorInfo): number {
    return this.getInputTensorIds([tensor])[0]!;
  }

  /** Makes a tfjs tensor from a tensor of the binding. */
  tensorOf(metadata: TensorMetadata): Tensor {
    return this.createOutputTensor(metadata);
  }

  /** Runs a TensorFlow op on tfjs tensors, or records it while a step is traced. `outputs` defaults to 1. */
  run(
    op: { name: string; attributes: readonly Attribute[]; outputs?: number },
    inputs: readonly TensorInfo[],
  ): Tensor[] {
    const ids = this.getInputTensorIds(inputs);
    return this.engine
      .executeOp(op.name, op.attributes, ids, op.outputs ?? 1)
      .map((output) => this.tensorOf(output));
  }

  /**
   * The variable's TensorFlow resource, safe to update in place: if other tensors share the variable's data, they keep
   * the present value and the variable gets the resource for itself.
   */
  exclusiveResource(variable: Variable): VariableTensor {
    const id = this.idOf(variable);
    if (this.refCount(variable.dataId) > 1) {
      const own = this.tensorOf(this.engine.moveVariable(id));
      variable.assign(own);
      own.dispose();
    }
    return this.engine.asVariable(this.idOf(variable));
  }

  /** Runs a TensorFlow op that updates variables in place; the op's operands are their resources, then `inputs`. */
  update(
    op: { name: string; attributes: readonly Attribute[] },
    variables: readonly Variable[],
    inputs: readonly TensorInfo[],
  ) {
    const { engine } = this;
    const { trace } = engine;
    const ids = this.getInputTensorIds(inputs);
    if (trace === undefined) {
      const targets = variables.map((variable) => this.exclusiveResource(variable));
      for (const target of targets) target.changed();
      const operands = [...targets.map(({ resource }) => resource), ...ids.map(engine.eager)];
      execute(engine.context, { ...op, inputs: operands, outputs: 0 });
      return;
    }
    const symbols = ids.map(engine.symbolOf);
    const targets = variables.map((variable) => this.traceAssignment(variable));
    trace.update({ ...op, inputs: symbols, outputs: 0 }, targets);
  }

  /** Opens a trace. The caller restores the remembered variables when the trace has ended. */
  beginTrace(remembered: readonly Remembered[], options: TraceOptions): Trace {
    const ids = new Set(remembered.map(({ variable }) => this.idOf(variable)));
    this.#tensorsBefore = new Map(remembered.map(({ variable, value }) => [variable, value]));
    return this.engine.beginTrace(ids, options);
  }

  endTrace() {
    this.engine.endTrace();
    this.#tensorsBefore = new Map();
  }

  /**
   * If the step assigned to the variable, adds a write to its resource to the trace and gives the variable its earlier
   * tensor back. Returns the resource and its number in the tensor table.
   */
  traceAssignment(variable: Variable): { id: number; variable: VariableTensor } {
    const { engine } = this;
    const id = this.idOf(variable);
    const before = this.#tensorsBefore.get(variable);
    if (before?.dataId === variable.dataId) return { id, variable: engine.asVariable(id) };
    if (before === undefined) {
      throw new EngineError('capture', `the variable ${variable.name} was created inside the step`, {
        remedy: 'create it before the step is captured',
      });
    }
    const value = engine.symbolOf(id);
    const idBefore = this.idOf(before);
    const target = { id: idBefore, variable: engine.asVariable(idBefore) };
    engine.trace!.assign(target, value);
    variable.assign(before);
    return target;
  }

  /**
   * While a step is traced: a copy of x that becomes available only after y has been computed, so that TensorFlow does
   * not merge a recomputation from x with the first computation. Otherwise x itself.
   */
  availableAfter(x: Tensor, y: Tensor): Tensor {
    const { engine } = this;
    if (engine.trace === undefined) return x;
    const [from, to] = this.getInputTensorIds([x, y]) as [number, number];
    const input = engine.symbolOf(from);
    const [result] = engine.trace.operation({
      name: 'Identity',
      attributes: [type('T', input.dtype)],
      inputs: [input],
      outputs: 1,
      after: [engine.symbolOf(to).output.oper],
    });
    return this.tensorOf(engine.add(result!));
  }

  /** Runs asynchronous work one piece at a time. @throws EngineError 'stopped' if the engine was closed meanwhile. */
  queue<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(() => {
      if (this.engine.context.stopped) throw stoppedError();
      return work();
    });
    this.#last = result.catch(() => {});
    return result;
  }

  #uploadPending(tensor: TensorInfo) {
    const entry = this.tensorMap.get(tensor.dataId);
    if (entry.values === null || entry.trace === this.engine.trace) return;
    entry.id = this.engine.uploadTensor(entry.shape, entry.dtype, entry.values);
    entry.values = null;
  }

  #isConstant(dataId: DataId) {
    const entry = this.tensorMap.get(dataId);
    return entry.values !== null && entry.trace === this.engine.trace;
  }
}

/** The active backend if it is this engine's, otherwise undefined. */
export function activeBackend(): TensorFlowBackend | undefined {
  const backend: unknown = tf.backend();
  return backend instanceof TensorFlowBackend ? backend : undefined;
}

/**
 * A tensor of unsigned bytes. tfjs has no such type and reports it as int32. On this engine it takes one byte per
 * element, and `tf.cast` and `tf.transpose` support it; on other backends it becomes an ordinary int32 tensor.
 */
export function tensorOfBytes(bytes: Uint8Array, shape: number[]): Tensor {
  const backend = activeBackend();
  if (backend === undefined) return tf.tensor(Int32Array.from(bytes), shape, 'int32');
  const id = backend.engine.uploadTensor(shape, DataType.UINT8, bytes);
  return backend.tensorOf({ id, shape, dtype: DataType.UINT8 });
}
