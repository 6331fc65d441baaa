// A whole step as one TensorFlow function: traced once, then run as often as wanted.
import tf, { type Tensor, type Variable } from '@tensorflow/tfjs';
import { activeBackend, type TensorFlowBackend } from '../backend/backend.ts';
import { execute, executeAsync } from '../backend/eager.ts';
import { EngineError } from '../errors.ts';
import type { CapturedTensor, GraphFunction } from './graph.ts';
import { bool, text } from '../kernels/attributes.ts';
import {
  BFLOAT16_OPS,
  choosePrecision,
  grapplerOptions,
  type Precision,
  type PrecisionChoice,
} from './precision.ts';
import { rememberVariables, restoreVariables } from './remember.ts';
import type { EagerTensor, SymbolicTensor, VariableTensor } from '../native/tensors.ts';
import type { Attribute } from '../native/types.ts';

export type Tensors = Record<string, Tensor>;

export interface CaptureOptions {
  /** Default `float32`. Other backends than this engine's ignore it. */
  precision?: Precision;
  /** Has XLA compile the whole step; the first run of each set of shapes then takes long. Default false. */
  jit?: boolean;
  /** Looks at every float result: the first NaN or infinity ends the run with an error that names the op. Slow. */
  checkNumerics?: boolean;
}

/** What became of a capture. */
export interface CaptureReport extends PrecisionChoice {
  /** Seconds that recording the step took. */
  traceSeconds: number;
  /** Seconds of the first run, in which TensorFlow optimises the function, or XLA compiles it. */
  firstRunSeconds: number;
}

/** A step that runs as one function. The caller disposes the outputs; inputs stay the caller's. */
export interface CapturedStep<Inputs extends Tensors, Outputs extends Tensors> {
  (inputs: Inputs): Promise<Outputs>;
  /** One for each trace: every set of input shapes and types is traced once. Empty on other backends. */
  readonly reports: readonly CaptureReport[];
  /** Frees the captured functions. */
  dispose(): void;
}

/**
 * Makes a captured step of a plain tfjs function.
 *
 * On the engine's backend the function is called once for each set of input shapes, to record its ops; from then on
 * the record runs, without JavaScript, on another thread. The variables it uses live in TensorFlow resources from then on: what
 * the step assigns is written in place; they are to be read between runs, not during one. Whatever changes from step
 * to step must be an input: the learning rate, random draws, the step's number. All other tensors that the step uses
 * keep the value they have now, but for variables. A step that creates variables at its first call is called twice.
 * On other backends the function is simply called.
 *
 * @param step takes named tensors and returns named tensors; synchronous.
 * @throws EngineError 'capture' when the step reads a value, draws random numbers in JavaScript, creates variables at
 *   every call, or makes a tensor whose shape depends on values; 'not-finite' with `checkNumerics`.
 */
export function capture<Inputs extends Tensors, Outputs extends Tensors>(
  step: (inputs: Inputs) => Outputs,
  options: CaptureOptions = {},
): CapturedStep<Inputs, Outputs> {
  if (options.checkNumerics && options.jit) {
    throw new EngineError('capture', 'checkNumerics finds nothing with jit: XLA leaves the checks out', {
      remedy: 'look for the value without jit',
    });
  }
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
        const job = { backend, step: step as unknown as Step, inputs, options };
        captured = trace(job);
        known.set(key, captured);
      }
      return (await replay(backend, captured, inputs)) as Outputs;
    });
  };
  return Object.defineProperty(
    Object.assign(run, {
      reports: [],
      dispose() {
        if (owner === activeBackend()) for (const { made } of known.values()) made.close();
        known.clear();
      },
    }),
    'reports',
    { get: () => Array.from(known.values(), ({ report }) => report) },
  );
}

type Step = (inputs: Tensors) => Tensors;

interface Job {
  backend: TensorFlowBackend;
  step: Step;
  inputs: Tensors;
  options: CaptureOptions;
}

interface Captured {
  made: GraphFunction;
  attributes: Attribute[];
  /** Names of the step's inputs, in the function's order. */
  inputs: string[];
  /** What the function takes after them: tensors as they were when the step was captured, … */
  constants: readonly CapturedTensor[];
  /** … and the resources of these variables. */
  variables: { variable: Variable; written: boolean }[];
  /** Names of the step's outputs, in the function's order. */
  outputs: string[];
  report: CaptureReport;
}

function signatureOf(backend: TensorFlowBackend, inputs: Tensors): string {
  const parts = Object.entries(inputs).map(([name, tensor]) => {
    if (tensor.isDisposed) throw new EngineError('capture', `the input "${name}" of the step is disposed`);
    return `${name}:${backend.engine.typeOf(backend.idOf(tensor))}[${tensor.shape.join(',')}]`;
  });
  return parts.sort().join(' ');
}

/** Traces the step; where that shows that it creates variables, gives them their first values and traces it again. */
function trace(job: Job): Captured {
  const first = record(job);
  if ('made' in first) return first;
  const second = record(job);
  if ('made' in second) return second;
  for (const variable of [...first.created, ...second.created]) variable.dispose();
  const names = second.created.map(({ name }) => name).join(', ');
  throw new EngineError('capture', `the step creates variables at every call (${names})`, {
    remedy: 'create them before the step is captured',
  });
}

/**
 * Calls the step with symbolic inputs and makes a function of what it did; the variables are left as they were.
 * When the step created variables, no function is made: they get their first values, and the step is to be recorded again.
 */
function record({ backend, step, inputs, options }: Job): Captured | { created: Variable[] } {
  const { engine } = backend;
  const started = performance.now();
  const choice = choosePrecision(options.precision ?? 'float32', engine.context);
  const onGpu = engine.isUsingGpuDevice();
  const types = Object.values(inputs).map((tensor) => engine.typeOf(backend.idOf(tensor)));
  const before = rememberVariables();
  const byId = new Map(before.map(({ variable }) => [backend.idOf(variable), variable]));
  const recording = backend.beginTrace(before, {
    ...(choice.compute === 'bfloat16' && onGpu ? { bfloat16: BFLOAT16_OPS } : {}),
    ...(options.checkNumerics ? { checkNumerics: true } : {}),
    ...(options.jit ? { jit: true } : {}),
  });
  const created: { variable: Variable; start: SymbolicTensor }[] = [];
  const onCreate = (variable: Variable, start: Tensor) => {
    created.push({ variable, start: engine.symbolOf(backend.idOf(start)) });
  };
  try {
    const starts: SymbolicTensor[] = [];
    const ends = new Map<string, SymbolicTensor>();
    tf.tidy(() => {
      const symbolic: Tensors = {};
      Object.entries(inputs).forEach(([name, { shape }], i) => {
        starts[i] = recording.placeholder(types[i]!, shape);
        symbolic[name] = backend.tensorOf(engine.add(starts[i]));
      });
      const results = recorded(() => step(symbolic), onCreate);
      checkOutputs(results);
      for (const [name, tensor] of Object.entries(results))
        ends.set(name, engine.symbolOf(backend.idOf(tensor)));
      tf.dispose(results);
    });
    for (const { variable, dataId } of before) if (variable.dataId !== dataId) backend.flush(variable);
    const { captured, variables } = recording;
    const symbols = [...starts, ...[...captured, ...variables].map(({ symbol }) => symbol)];
    const result = {
      inputs: Object.keys(inputs),
      constants: captured,
      variables: variables.map(({ id, written }) => ({ variable: byId.get(id)!, written })),
    };
    if (created.length > 0) {
      const made = recording.toFunction(symbols, {
        outputs: created.map(({ start }) => start),
        writes: false,
      });
      const operands = operandsOf(
        backend,
        { ...result, resources: resourcesOf(backend, result.variables) },
        inputs,
      );
      const call = { name: made.name, attributes: [], inputs: operands, outputs: made.outputs };
      execute(engine.context, call).forEach((value, i) => {
        const tensor = backend.tensorOf(engine.add(value));
        created[i]!.variable.assign(tensor);
        tensor.dispose();
      });
      made.close();
      return { created: created.map(({ variable }) => variable) };
    }
    // A float32 step that trains gains nothing from grappler, and takes more memory and time to start.
    const optimised = choice.compute !== 'float32' || result.variables.every(({ written }) => !written);
    const fuses = onGpu || !recording.grouped; // on a CPU grappler fuses grouped convolutions into an op that refuses them
    return {
      ...result,
      made: recording.toFunction(symbols, { outputs: [...ends.values()], writes: true }),
      attributes: [
        ...(optimised ? [text('config_proto', grapplerOptions(choice.compute, { onGpu, fuses }))] : []),
        ...(options.jit ? [bool('_XlaMustCompile', true)] : []),
      ],
      outputs: [...ends.keys()],
      report: { ...choice, traceSeconds: secondsSince(started), firstRunSeconds: NaN },
    };
  } catch (error) {
    for (const { variable } of created) variable.dispose();
    throw error;
  } finally {
    backend.endTrace();
    restoreVariables(before);
    recording.close();
  }
}

async function replay(backend: TensorFlowBackend, captured: Captured, inputs: Tensors): Promise<Tensors> {
  const { engine } = backend;
  const { made, attributes, report } = captured;
  const started = performance.now();
  const resources = resourcesOf(backend, captured.variables);
  const operands = operandsOf(backend, { ...captured, resources }, inputs);
  const targets = resources.filter((_, i) => captured.variables[i]!.written);
  for (const target of targets) target.changed();
  const call = { name: made.name, attributes, inputs: operands, outputs: made.outputs };
  let results: EagerTensor[];
  try {
    results = await executeAsync(engine.context, call);
  } finally {
    for (const target of targets) target.changed(); // also a step that failed may have written some
  }
  if (Number.isNaN(report.firstRunSeconds)) report.firstRunSeconds = secondsSince(started);
  return Object.fromEntries(
    captured.outputs.map((name, i) => [name, backend.tensorOf(engine.add(results[i]!))]),
  );
}

/** The resources of a captured step's variables, fit to be updated where the step writes. */
function resourcesOf(backend: TensorFlowBackend, variables: Captured['variables']): VariableTensor[] {
  return variables.map(({ variable, written }) => {
    if (variable.isDisposed) {
      throw new EngineError('capture', `the variable ${variable.name} of this captured step was disposed`, {
        remedy: 'capture the step again',
      });
    }
    return written ? backend.owned(variable) : backend.engine.resident(backend.idOf(variable));
  });
}

/** The tensors that the function takes, in its order. */
function operandsOf(
  backend: TensorFlowBackend,
  taken: Pick<Captured, 'inputs' | 'constants'> & { resources: readonly VariableTensor[] },
  inputs: Tensors,
): EagerTensor[] {
  const { engine } = backend;
  return [
    ...taken.inputs.map((name) => engine.eager(backend.idOf(inputs[name]!))),
    ...taken.constants.map(({ tensor }) => tensor),
    ...taken.resources.map(({ resource }) => resource),
  ];
}

const secondsSince = (started: number) => (performance.now() - started) / 1000;

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

/** Runs the step so that drawing in JavaScript is refused and variables that it creates are told. */
function recorded<T>(work: () => T, onCreate: (variable: Variable, start: Tensor) => void): T {
  const refuse = (what: string) => {
    throw new EngineError('capture', `${what} draws random numbers in JavaScript, inside a captured step`, {
      remedy: 'draw before the step and give the numbers to it as an input',
    });
  };
  const engine = tf.engine();
  const { startScope, makeVariable } = engine;
  const { random } = Math;
  engine.startScope = (name?: string) => {
    if (name !== undefined && randomOps.has(name)) refuse(`tf.${name.slice(0, -'__op'.length)}`);
    startScope.call(engine, name);
  };
  engine.makeVariable = (start, ...rest) => {
    const variable = makeVariable.call(engine, start, ...rest);
    onCreate(variable, start);
    return variable;
  };
  Math.random = () => refuse('Math.random') as never;
  try {
    return work();
  } finally {
    Object.assign(engine, { startScope, makeVariable });
    Math.random = random;
  }
}

/** What a captured step would compute in on the engine that is in use, and why; other backends compute in float32. */
export function precisionOf(precision: Precision): PrecisionChoice {
  const backend = activeBackend();
  if (backend !== undefined) return choosePrecision(precision, backend.engine.context);
  return { compute: 'float32', why: `the backend ${tf.getBackend()} has nothing else` };
}
