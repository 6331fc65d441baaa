// A whole step as one TensorFlow function: traced once, then run as often as wanted.
import tf, { type Tensor, type Variable } from '@tensorflow/tfjs';
import { activeBackend, type TensorFlowBackend } from './backend.ts';
import { executeAsync } from './eager.ts';
import { EngineError } from './errors.ts';
import type { CapturedTensor, GraphFunction, Trace } from './graph.ts';

export type Tensors = Record<string, Tensor>;

/** A step that runs as one function. The caller disposes the outputs; inputs stay the caller's. */
export interface CapturedStep<Inputs extends Tensors, Outputs extends Tensors> {
  (inputs: Inputs): Promise<Outputs>;
  /** How many times the step was traced: once for every set of input shapes and types. */
  readonly traces: number;
  /** Frees the captured functions. */
  dispose(): void;
}

/**
 * Makes a captured step of a plain tfjs function.
 *
 * On the engine's backend the function is called once for each set of input shapes, to record its ops; from then on
 * the record runs, without JavaScript, on another thread. Variables that the step assigns are written back after each
 * run. Whatever changes from step to step must be an input: the learning rate, random draws, the step's number. All
 * other tensors that the step uses keep the value they have now, but for variables. On other backends the function
 * is simply called.
 *
 * @param step takes named tensors and returns named tensors; synchronous. It may create and assign no variable that
 *   does not exist yet.
 * @throws EngineError 'capture' when the step reads a value, draws random numbers in JavaScript, creates a variable,
 *   or makes a tensor whose shape depends on values.
 */
export function capture<Inputs extends Tensors, Outputs extends Tensors>(
  step: (inputs: Inputs) => Outputs,
): CapturedStep<Inputs, Outputs> {
  const known = new Map<string, Captured>();
  let owner: TensorFlowBackend | undefined;

  const run = async (inputs: Inputs): Promise<Outputs> => {
    const backend = activeBackend();
    if (backend === undefined) return tf.tidy(() => step(inputs));
    return backend.queue(async () => {
      if (owner !== backend) known.clear();
      owner = backend;
      const key = signatureOf(backend, inputs);
      let captured = known.get(key);
      if (captured === undefined) {
        captured = trace(backend, step as unknown as (inputs: Tensors) => Tensors, inputs);
        known.set(key, captured);
      }
      return (await replay(backend, captured, inputs)) as Outputs;
    });
  };
  return Object.defineProperty(
    Object.assign(run, {
      traces: 0,
      dispose() {
        if (owner === activeBackend()) for (const { made } of known.values()) made.close();
        known.clear();
      },
    }),
    'traces',
    { get: () => known.size },
  );
}

interface Captured {
  made: GraphFunction;
  /** Names of the step's inputs, in the function's order. */
  inputs: string[];
  /** What the function takes after them: a variable's present value, or a tensor as it was. */
  sources: (Variable | CapturedTensor)[];
  /** Names of the step's outputs, in the function's order. */
  outputs: string[];
  /** The variables that the function's further outputs are written to. */
  written: Variable[];
}

function signatureOf(backend: TensorFlowBackend, inputs: Tensors): string {
  const parts = Object.entries(inputs).map(([name, tensor]) => {
    if (tensor.isDisposed) throw new EngineError('capture', `the input "${name}" of the step is disposed`);
    return `${name}:${backend.engine.typeOf(backend.idOf(tensor))}[${tensor.shape.join(',')}]`;
  });
  return parts.sort().join(' ');
}

/** Calls the step with symbolic inputs and makes a function of what it did; the variables are left as they were. */
function trace(backend: TensorFlowBackend, step: (inputs: Tensors) => Tensors, inputs: Tensors): Captured {
  const { engine } = backend;
  const before = registeredVariables().map((variable) => ({
    variable,
    value: tf.keep(tf.clone(variable)),
    id: backend.idOf(variable),
    dataId: variable.dataId,
  }));
  const types = new Map(
    Object.entries(inputs).map(([name, tensor]) => [name, engine.typeOf(backend.idOf(tensor))]),
  );
  const recording = engine.openTrace();
  engine.trace = recording;
  let made: Omit<Captured, 'made' | 'sources'>;
  let starts: ReturnType<Trace['placeholder']>[] = [];
  let ends: ReturnType<Trace['placeholder']>[] = [];
  try {
    made = tf.tidy(() => {
      const symbolic: Tensors = {};
      starts = Object.entries(inputs).map(([name, { shape }]) => {
        const placeholder = recording.placeholder(types.get(name)!, shape);
        symbolic[name] = backend.tensorOf(engine.add(placeholder));
        return placeholder;
      });
      const results = withoutHostRandomness(() => step(symbolic));
      checkOutputs(results);
      const fresh = registeredVariables().filter(
        (variable) => !before.some((old) => old.variable === variable),
      );
      if (fresh.length > 0) {
        for (const variable of fresh) variable.dispose();
        throw new EngineError(
          'capture',
          `the step creates variables (${fresh.map(({ name }) => name).join(', ')})`,
          {
            remedy: 'create them before the step is captured',
          },
        );
      }
      const written = before
        .filter(({ variable, dataId }) => variable.dataId !== dataId)
        .map(({ variable }) => variable);
      ends = [...Object.values(results), ...written].map((tensor) => engine.symbolOf(backend.idOf(tensor)));
      for (const tensor of Object.values(results)) tensor.dispose();
      return { inputs: Object.keys(inputs), outputs: Object.keys(results), written } as never;
    });
  } catch (error) {
    recording.abandon();
    throw error;
  } finally {
    for (const { variable, value, dataId } of before) {
      if (!variable.isDisposed && variable.dataId !== dataId) variable.assign(value);
      value.dispose();
    }
    engine.trace = undefined;
  }
  const variables = new Map(before.map(({ id, variable }) => [id, variable]));
  const captured = recording.captured;
  for (const tensor of captured) if (variables.has(tensor.id)) recording.release(tensor);
  return {
    ...made,
    sources: captured.map((tensor) => variables.get(tensor.id) ?? tensor),
    made: recording.finish([...starts, ...captured.map(({ symbol }) => symbol)], ends),
  };
}

async function replay(backend: TensorFlowBackend, captured: Captured, inputs: Tensors): Promise<Tensors> {
  const { engine } = backend;
  const present = (tensor: Tensor) => engine.eager(backend.idOf(tensor));
  const operands = [
    ...captured.inputs.map((name) => present(inputs[name]!)),
    ...captured.sources.map((source) => {
      if ('tensor' in source) return source.tensor;
      if (source.isDisposed) {
        throw new EngineError('capture', `the variable ${source.name} of this captured step was disposed`, {
          remedy: 'capture the step again',
        });
      }
      return present(source);
    }),
  ];
  const { name, outputs } = captured.made;
  const call = { name, attributes: [], inputs: operands, outputs };
  const results = (await executeAsync(engine.context, call)).map((tensor) =>
    backend.tensorOf(engine.add(tensor)),
  );
  captured.written.forEach((variable, i) => {
    const value = results[captured.outputs.length + i]!;
    variable.assign(value);
    value.dispose();
  });
  return Object.fromEntries(captured.outputs.map((key, i) => [key, results[i]!]));
}

function registeredVariables(): Variable[] {
  return Object.values(tf.engine().state.registeredVariables);
}

function checkOutputs(results: unknown): asserts results is Tensors {
  if (typeof (results as { then?: unknown } | undefined)?.then === 'function') {
    throw new EngineError('capture', 'the step returns a promise', {
      remedy: 'make it a synchronous function',
    });
  }
  const named = typeof results === 'object' && results !== null ? Object.values(results) : [undefined];
  if (!named.every((value) => value instanceof tf.Tensor)) {
    throw new EngineError('capture', 'the step must return an object of tensors', {
      remedy: 'for example { loss }',
    });
  }
}

/** tfjs's ops that draw in JavaScript: inside a captured step their draw would be frozen. */
const randomOps = new Set(
  ['rand', 'randomGamma', 'randomNormal', 'randomStandardNormal', 'randomUniform', 'randomUniformInt', 'truncatedNormal', 'multinomial'].map(
    (name) => `${name}__op`,
  ),
); // prettier-ignore

function withoutHostRandomness<T>(work: () => T): T {
  const refuse = (what: string) => {
    throw new EngineError('capture', `${what} draws random numbers in JavaScript, inside a captured step`, {
      remedy: 'draw before the step and give the numbers to it as an input',
    });
  };
  const engine = tf.engine();
  const { startScope } = engine;
  const { random } = Math;
  engine.startScope = (name?: string) => {
    if (name !== undefined && randomOps.has(name)) refuse(`tf.${name.slice(0, -'__op'.length)}`);
    startScope.call(engine, name);
  };
  Math.random = () => refuse('Math.random') as never;
  try {
    return work();
  } finally {
    engine.startScope = startScope;
    Math.random = random;
  }
}
