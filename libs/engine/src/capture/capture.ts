// Captures a whole training step as one TensorFlow function: the step is traced once and the function then replaces it.
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
  /** Default `float32`. Ignored by backends other than this engine's. */
  precision?: Precision;
  /** XLA compiles the whole step, which makes the first run of each set of shapes slow. Default false. */
  jit?: boolean;
  /** Checks every float result: the first NaN or infinity ends the run with an error that names the op. Slow. */
  checkNumerics?: boolean;
}

/** Precision and timing of one trace. */
export interface CaptureReport extends PrecisionChoice {
  /** Seconds spent on recording the step. */
  traceSeconds: number;
  /** Seconds of the first run, which includes TensorFlow's optimisation or XLA's compilation; NaN before that run. */
  firstRunSeconds: number;
}

/** A step that runs as one function. The caller owns the inputs and must dispose the outputs. */
export interface CapturedStep<Inputs extends Tensors, Outputs extends Tensors> {
  (inputs: Inputs): Promise<Outputs>;
  /** One report per trace: every set of input shapes and types is traced once. Empty on other backends. */
  readonly reports: readonly CaptureReport[];
  /** Frees the captured functions. */
  dispose(): void;
}

/**
 * Makes a captured step from a plain tfjs function.
 *
 * On this engine's backend the function is called once for each set of input shapes and types, to record its ops.
 * Afterwards the recorded function runs on another thread, without JavaScript.
 * - Variables used by the step are moved into TensorFlow resources, and assignments update them in place. Read them
 *   only between runs.
 * - Everything that changes from step to step must be an input: learning rate, random draws, number of the step. Any
 *   other tensor from outside keeps the value that it had at the recording.
 * - A step that creates variables at its first call is recorded twice.
 *
 * On other backends the function is called directly each time.
 *
 * @param step synchronous function from named tensors to named tensors
 * @throws EngineError 'capture' if the step reads a value, draws random numbers in JavaScript, creates variables at
 *   every call, or makes a tensor whose shape depends on values; 'not-finite' with `checkNumerics`; 'stopped' if the
 *   engine is closed before the step finishes.
 */
export function capture<Inputs extends Tensors, Outputs extends Tensors>(
  step: (inputs: Inputs) => Outputs,
  options: CaptureOptions = {},
): CapturedStep<Inputs, Outputs> {
  const { run, about } = recordedStep(step, options);
  return about(async (inputs: Inputs): Promise<Outputs> => {
    if (activeBackend() === undefined) return tf.tidy(() => step(inputs));
    return (await run(inputs, []))[0]!;
  });
}

/** Variables of a recorded step, and those that take their place in a run. */
type Places = ReadonlyMap<Variable, Variable>;

/** A step that is recorded at its first run for each set of input shapes and types. */
function recordedStep<Inputs extends Tensors, Outputs extends Tensors>(
  step: (inputs: Inputs) => Outputs,
  options: CaptureOptions,
) {
  if (options.checkNumerics && options.jit) {
    throw new EngineError('capture', 'checkNumerics has no effect with jit: XLA removes the checks', {
      remedy: 'search for the value without jit',
    });
  }
  const known = new Map<string, Captured>();
  let owner: TensorFlowBackend | undefined;

  /** Runs the step with its own variables, and once more with those of each of the `places`. */
  const run = (inputs: Inputs, places: readonly Places[]): Promise<Outputs[]> => {
    const backend = activeBackend()!;
    return backend.queue(async () => {
      if (owner !== backend) known.clear();
      owner = backend;
      const key = signatureOf(backend, inputs);
      let captured = known.get(key);
      if (captured === undefined) {
        captured = trace({ backend, step: step as unknown as Step, inputs, options });
        known.set(key, captured);
      }
      return (await replayAll(backend, captured, { inputs, places })) as Outputs[];
    });
  };
  const reports = { get: () => Array.from(known.values(), ({ report }) => report) };
  const dispose = () => {
    if (owner === activeBackend()) for (const { graphFunction } of known.values()) graphFunction.close();
    known.clear();
  };
  return {
    run,
    /** Gives a function the members of `CapturedStep`. */
    about: <F extends object>(call: F) =>
      Object.defineProperties(call, { reports, dispose: { value: dispose } }) as F & {
        readonly reports: readonly CaptureReport[];
        dispose(): void;
      },
  };
}

/** A step and the variables that it uses, in an order that `captureAlike` can rely on. */
export interface StepOf<Inputs extends Tensors, Outputs extends Tensors> {
  step: (inputs: Inputs) => Outputs;
  variables: readonly Variable[];
}

/** Steps that run as one function. The caller owns the inputs and must dispose the outputs. */
export interface CapturedSteps<Inputs extends Tensors, Outputs extends Tensors> {
  /** The outputs of each step for the same inputs, in the order of the steps. */
  (inputs: Inputs): Promise<Outputs[]>;
  /** As of `CapturedStep`. */
  readonly reports: readonly CaptureReport[];
  dispose(): void;
}

/**
 * As `capture`, of several steps that are the same function of different variables, such as members of one architecture: only the first
 * is recorded and optimised, and its function runs with the variables of each, all at the same time. No step may assign variables.
 *
 * @param steps variables at the same place of the lists take each other's place; the caller vouches that the functions are the same
 * @throws EngineError as `capture`; 'capture' if the variables of two steps differ in number, shape or type, or a step assigns one.
 */
export function captureAlike<Inputs extends Tensors, Outputs extends Tensors>(
  steps: readonly StepOf<Inputs, Outputs>[],
  options: CaptureOptions = {},
): CapturedSteps<Inputs, Outputs> {
  const [first, ...others] = steps;
  if (first === undefined) throw new EngineError('capture', 'there is no step to capture');
  for (const { variables } of others) {
    const place = first.variables.findIndex((variable, i) => describe(variable) !== describe(variables[i]));
    if (place >= 0 || variables.length !== first.variables.length)
      throw new EngineError(
        'capture',
        'the steps have different variables, so they cannot share one function',
      );
  }
  const places = others.map(
    ({ variables }) => new Map(first.variables.map((variable, i) => [variable, variables[i]!])),
  );
  const { run, about } = recordedStep(first.step, options);
  return about(async (inputs: Inputs): Promise<Outputs[]> => {
    if (activeBackend() === undefined) return steps.map(({ step }) => tf.tidy(() => step(inputs)));
    return run(inputs, places);
  });
}

const describe = (variable: Variable | undefined) => `${variable?.dtype} [${variable?.shape.join(', ')}]`;

type Step = (inputs: Tensors) => Tensors;

interface Job {
  backend: TensorFlowBackend;
  step: Step;
  inputs: Tensors;
  options: CaptureOptions;
}

interface Captured {
  graphFunction: GraphFunction;
  attributes: Attribute[];
  /** Names of the step's inputs, in the order of the function's parameters. */
  inputs: string[];
  /** The function's next parameters: tensors from outside the step, with their values at the time of recording. */
  constants: readonly CapturedTensor[];
  /** The function's last parameters: the resources of these variables. */
  variables: { variable: Variable; written: boolean }[];
  /** Names of the step's outputs, in the order of the function's results. */
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

/** Traces the step. If it created variables, they get their initial values and the step is traced a second time. */
function trace(job: Job): Captured {
  const first = record(job);
  if ('graphFunction' in first) return first;
  const second = record(job);
  if ('graphFunction' in second) return second;
  for (const variable of [...first.created, ...second.created]) variable.dispose();
  const names = second.created.map(({ name }) => name).join(', ');
  throw new EngineError('capture', `the step creates variables at every call (${names})`, {
    remedy: 'create them before the step is captured',
  });
}

/**
 * Calls the step with symbolic inputs and makes a function from the recorded ops. Existing variables keep their values.
 * If the step created variables, they get their initial values and are returned instead; record the step again then.
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
    for (const { variable, dataId } of before)
      if (variable.dataId !== dataId) backend.traceAssignment(variable);
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
    // Grappler does not speed up a float32 training step, and costs memory and start-up time.
    const useGrappler = choice.compute !== 'float32' || result.variables.every(({ written }) => !written);
    const fuses = onGpu || !recording.grouped; // on CPUs grappler's fused convolution rejects grouped ones
    return {
      ...result,
      graphFunction: recording.toFunction(symbols, { outputs: [...ends.values()], writes: true }),
      attributes: [
        ...(useGrappler ? [text('config_proto', grapplerOptions(choice.compute, { onGpu, fuses }))] : []),
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

/** Runs the function with the step's own variables, and at the same time with those of each of the `places`. */
async function replayAll(
  backend: TensorFlowBackend,
  captured: Captured,
  { inputs, places }: { inputs: Tensors; places: readonly Places[] },
): Promise<Tensors[]> {
  if (places.length > 0 && captured.variables.some(({ written }) => written))
    throw new EngineError('capture', 'a step that assigns variables cannot be captured with others');
  const others = places.map((place) => ({
    ...captured,
    variables: captured.variables.map((each) => ({
      ...each,
      variable: place.get(each.variable) ?? each.variable,
    })),
  }));
  // The first run of all instantiates the function; runs beside it would do so again.
  const isNew = Number.isNaN(captured.report.firstRunSeconds);
  const first = replay(backend, captured, inputs);
  if (isNew) await first;
  const runs = [first, ...others.map((other) => replay(backend, other, inputs))];
  const ends = await Promise.allSettled(runs);
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed === undefined) return Promise.all(runs);
  for (const end of ends) if (end.status === 'fulfilled') tf.dispose(end.value);
  throw failed.reason;
}

async function replay(backend: TensorFlowBackend, captured: Captured, inputs: Tensors): Promise<Tensors> {
  const { engine } = backend;
  const { graphFunction, attributes, report } = captured;
  const started = performance.now();
  const resources = resourcesOf(backend, captured.variables);
  const operands = operandsOf(backend, { ...captured, resources }, inputs);
  const targets = resources.filter((_, i) => captured.variables[i]!.written);
  for (const target of targets) target.changed();
  const call = { name: graphFunction.name, attributes, inputs: operands, outputs: graphFunction.outputs };
  let results: EagerTensor[];
  try {
    results = await executeAsync(engine.context, call);
  } finally {
    for (const target of targets) target.changed(); // a failed step may have written some of them
  }
  if (Number.isNaN(report.firstRunSeconds)) report.firstRunSeconds = secondsSince(started);
  return Object.fromEntries(
    captured.outputs.map((name, i) => [name, backend.tensorOf(engine.add(results[i]!))]),
  );
}

/** The resources of a captured step's variables; those that the step writes are not shared with other tensors. */
function resourcesOf(backend: TensorFlowBackend, variables: Captured['variables']): VariableTensor[] {
  return variables.map(({ variable, written }) => {
    if (variable.isDisposed) {
      throw new EngineError('capture', `the variable ${variable.name} of this captured step was disposed`, {
        remedy: 'capture the step again',
      });
    }
    return written ? backend.exclusiveResource(variable) : backend.engine.asVariable(backend.idOf(variable));
  });
}

/** The function's arguments in order: inputs, constants, resources. */
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

/** tfjs ops that draw random numbers in JavaScript: a captured step would repeat the same draw at every run. */
const randomOps = new Set(
  ['rand', 'randomGamma', 'randomNormal', 'randomStandardNormal', 'randomUniform', 'randomUniformInt', 'truncatedNormal', 'multinomial'].map(
    (name) => `${name}__op`,
  ),
); // prettier-ignore

/** Runs the step; random draws in JavaScript throw, and `onCreate` is called for each variable that it creates. */
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

/**
 * The precision that a captured step would compute in on the active backend, and the reason. Other backends than this
 * engine's always compute in float32.
 */
export function precisionOf(precision: Precision): PrecisionChoice {
  const backend = activeBackend();
  if (backend !== undefined) return choosePrecision(precision, backend.engine.context);
  return { compute: 'float32', why: `the backend ${tf.getBackend()} supports only float32` };
}
