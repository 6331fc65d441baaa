// Declarations of TensorFlow's C API: the functions that the engine calls. The library is loaded once per process, the
// functions are bound once per thread. Reference: tensorflow/c/c_api.h and tensorflow/c/eager/c_api.h of release 2.21.
import koffi, { type KoffiFunc, type LibraryHandle } from 'koffi';
import { EngineError } from '../errors.ts';
import { type TensorFlowLibrary, TENSORFLOW_VERSION } from '../library/library.ts';
import { environment, openLibrary } from './native.ts';
import { Place, processState } from './process-state.ts';

/** An address in native memory; 0n and null are null pointers. */
export type Pointer = bigint | null;
/** TF_Output: one output of a graph operation. */
export interface Output {
  oper: Pointer;
  index: number;
}
type Buffer = NodeJS.TypedArray | null;

const outputType = koffi.struct({ oper: 'void *', index: 'int' });
const bufferType = koffi.struct({ data: 'void *', length: 'size_t', deallocator: 'void *' });

const ptr = 'void *';
/** Name → [result type, parameter types]. `str` is a zero-terminated string. */
const functions = {
  TF_Version: ['str', []],
  TF_NewStatus: [ptr, []],
  TF_DeleteStatus: ['void', [ptr]],
  TF_GetCode: ['int', [ptr]],
  TF_Message: ['str', [ptr]],
  TF_NewBuffer: [ptr, []],
  TF_NewBufferFromString: [ptr, [ptr, 'size_t']],
  TF_DeleteBuffer: ['void', [ptr]],

  TFE_NewContextOptions: [ptr, []],
  TFE_DeleteContextOptions: ['void', [ptr]],
  TFE_ContextOptionsSetConfig: ['void', [ptr, ptr, 'size_t', ptr]],
  TFE_NewContext: [ptr, [ptr, ptr]],
  TFE_DeleteContext: ['void', [ptr]],
  TFE_ContextListDevices: [ptr, [ptr, ptr]],
  TF_DeviceListCount: ['int', [ptr]],
  TF_DeviceListName: ['str', [ptr, 'int', ptr]],
  TF_DeviceListMemoryBytes: ['int64_t', [ptr, 'int', ptr]],
  TF_DeleteDeviceList: ['void', [ptr]],

  TF_AllocateTensor: [ptr, ['int', ptr, 'int', 'size_t']],
  TF_TensorData: [ptr, [ptr]],
  TF_TensorByteSize: ['size_t', [ptr]],
  TF_DeleteTensor: ['void', [ptr]],
  TF_TensorFromProto: ['void', [ptr, ptr, ptr]],
  TF_StringGetDataPointer: [ptr, [ptr]],
  TF_StringGetSize: ['size_t', [ptr]],
  TFE_NewTensorHandle: [ptr, [ptr, ptr]],
  TFE_TensorHandleResolve: [ptr, [ptr, ptr]],
  TFE_TensorHandleCopySharingTensor: [ptr, [ptr, ptr]],
  TFE_TensorHandleBackingDeviceName: ['str', [ptr, ptr]],
  TFE_TensorHandleDataType: ['int', [ptr]],
  TFE_TensorHandleNumDims: ['int', [ptr, ptr]],
  TFE_TensorHandleDim: ['int64_t', [ptr, 'int', ptr]],
  TFE_DeleteTensorHandle: ['void', [ptr]],

  TFE_NewOp: [ptr, [ptr, 'str', ptr]],
  TFE_DeleteOp: ['void', [ptr]],
  TFE_OpSetDevice: ['void', [ptr, 'str', ptr]],
  TFE_OpAddInput: ['void', [ptr, ptr, ptr]],
  TFE_OpSetAttrString: ['void', [ptr, 'str', ptr, 'size_t']],
  TFE_OpSetAttrInt: ['void', [ptr, 'str', 'int64_t']],
  TFE_OpSetAttrIntList: ['void', [ptr, 'str', ptr, 'int']],
  TFE_OpSetAttrFloat: ['void', [ptr, 'str', 'float']],
  TFE_OpSetAttrBool: ['void', [ptr, 'str', 'uint8_t']],
  TFE_OpSetAttrType: ['void', [ptr, 'str', 'int']],
  TFE_OpSetAttrShape: ['void', [ptr, 'str', ptr, 'int', ptr]],
  TFE_Execute: ['void', [ptr, ptr, ptr, ptr]],
  TFE_ContextAddFunction: ['void', [ptr, ptr, ptr]],
  TFE_ContextRemoveFunction: ['void', [ptr, 'str', ptr]],

  TF_NewGraph: [ptr, []],
  TF_DeleteGraph: ['void', [ptr]],
  TF_GraphGetOpDef: ['void', [ptr, 'str', ptr, ptr]],
  TF_NewOperation: [ptr, [ptr, 'str', 'str']],
  TF_FinishOperation: [ptr, [ptr, ptr]],
  TF_AddInput: ['void', [ptr, outputType]],
  TF_AddInputList: ['void', [ptr, koffi.pointer(outputType), 'int']],
  TF_SetAttrString: ['void', [ptr, 'str', ptr, 'size_t']],
  TF_SetAttrInt: ['void', [ptr, 'str', 'int64_t']],
  TF_SetAttrIntList: ['void', [ptr, 'str', ptr, 'int']],
  TF_SetAttrFloat: ['void', [ptr, 'str', 'float']],
  TF_SetAttrBool: ['void', [ptr, 'str', 'uint8_t']],
  TF_SetAttrType: ['void', [ptr, 'str', 'int']],
  TF_SetAttrShape: ['void', [ptr, 'str', ptr, 'int']],
  TF_SetAttrTensor: ['void', [ptr, 'str', ptr, ptr]],
  TF_OperationOutputType: ['int', [outputType]],
  TF_GraphGetTensorNumDims: ['int', [ptr, outputType, ptr]],
  TF_GraphGetTensorShape: ['void', [ptr, outputType, ptr, 'int', ptr]],
  TF_GraphSetTensorShape: ['void', [ptr, outputType, ptr, 'int', ptr]],
  TF_AddControlInput: ['void', [ptr, ptr]],
  TF_GraphToFunctionWithControlOutputs: [
    ptr,
    [
      ...[ptr, 'str', 'uint8_t', 'int', ptr],
      ...['int', koffi.pointer(outputType), 'int', koffi.pointer(outputType), ptr],
      ...['int', ptr, ptr, ptr, 'str', ptr],
    ],
  ],
  TF_DeleteFunction: ['void', [ptr]],
} as const satisfies Record<string, readonly [string, readonly unknown[]]>;

type Arg = Pointer | Buffer | Output | readonly Output[] | number | string;
type Result<R extends string> = R extends 'str'
  ? string
  : R extends 'void'
    ? void
    : R extends typeof ptr
      ? Pointer
      : number;
type Declared = typeof functions;

/** The C functions under their own names. Errors are not checked: the caller passes a TF_Status and checks it. */
export type TensorFlowApi = { [Name in keyof Declared]: (...args: Arg[]) => Result<Declared[Name][0]> } & {
  /** Runs TFE_Execute on a thread of libuv's pool; the promise is fulfilled when it returns. */
  executeAsync(op: Pointer, outputs: BigUint64Array, count: Int32Array, status: Pointer): Promise<void>;
  /** Runs TFE_TensorHandleResolve on a thread of libuv's pool: it waits for the GPU. */
  resolveAsync(handle: Pointer, status: Pointer): Promise<Pointer>;
  /** C++ functions that are not in the C API; undefined if this build does not export them. */
  readonly switches: Record<Switch, ((on: boolean) => void) | undefined>;
};

/**
 * Mangled names of `tsl::EnableOpDeterminism(bool)` and `tsl::enable_tensor_float_32_execution(bool)`, which act on
 * the process.
 */
const switches = {
  determinism: '_ZN3tsl19EnableOpDeterminismEb',
  tf32: '_ZN3tsl32enable_tensor_float_32_executionEb',
};
export type Switch = keyof typeof switches;

let loaded: TensorFlowApi | undefined;

/**
 * Loads the two libraries. Further calls in the same thread return the first result.
 * @throws EngineError 'library-version' for another version, 'library-damaged' if the libraries cannot be loaded.
 */
export function loadTensorFlow(library: TensorFlowLibrary): TensorFlowApi {
  if (loaded) return loaded;
  openPermanently(library);
  const main = openLibrary(library.main, { lazy: true, global: true });
  const api = Object.fromEntries(
    Object.entries(functions).map(([name, [result, parameters]]) => [
      name,
      main.func(name, result, [...parameters]),
    ]),
  ) as unknown as TensorFlowApi & {
    switches: TensorFlowApi['switches'];
    TFE_Execute: KoffiFunc<(...args: unknown[]) => void>;
    TFE_TensorHandleResolve: KoffiFunc<(...args: unknown[]) => Pointer>;
  };
  const version = api.TF_Version();
  if (version !== TENSORFLOW_VERSION) {
    throw new EngineError(
      'library-version',
      `${library.main} is TensorFlow ${version}, not ${TENSORFLOW_VERSION}`,
      {
        remedy:
          'point CT_ENSEMBLE_TENSORFLOW at the right version, or unset it and run nx run engine:install',
      },
    );
  }
  // eslint-disable-next-line max-params -- the C API's own order
  api.executeAsync = (op, outputs, count, status) =>
    new Promise((resolve, reject) => {
      api.TFE_Execute.async(op, outputs, count, status, (error: unknown) =>
        error ? reject(error) : resolve(),
      );
    });
  api.resolveAsync = (handle, status) =>
    new Promise((resolve, reject) => {
      api.TFE_TensorHandleResolve.async(handle, status, (error: unknown, tensor: Pointer) =>
        error ? reject(error) : resolve(tensor),
      );
    });
  const framework = openLibrary(library.framework, { lazy: true, global: true });
  api.switches = { determinism: cppSwitch(framework, 'determinism'), tf32: cppSwitch(framework, 'tf32') };
  loaded = api;
  return api;
}

function cppSwitch(library: LibraryHandle, name: Switch): ((on: boolean) => void) | undefined {
  try {
    return library.func(switches[name], 'void', ['bool']) as (on: boolean) => void;
  } catch {
    return undefined;
  }
}

/** A copy of the bytes of a TF_Buffer. */
export function bytesOfBuffer(buffer: Pointer): Uint8Array {
  const { data, length } = koffi.decode(buffer, bufferType) as { data: Pointer; length: number | bigint };
  return new Uint8Array(koffi.view(data, Number(length))).slice();
}

/** A view of native memory, not a copy: valid only as long as the memory is. */
export function bytesAt(address: Pointer, length: number): Uint8Array {
  return length === 0 ? new Uint8Array(0) : new Uint8Array(koffi.view(address, length));
}

/**
 * Opens the libraries with RTLD_NODELETE, so that they are never unloaded: TensorFlow's threads outlive Node's, and
 * unloading the code that they run would crash the process at its end.
 *
 * While it loads, the framework library logs two lines about oneDNN that no setting suppresses, so standard error is
 * redirected meanwhile. Only the first thread of the process does this: if two threads did at the same time, the second
 * would save the first one's redirection as the original standard error.
 */
function openPermanently(library: TensorFlowLibrary) {
  const c = openLibrary(null);
  const dlopen = c.func('dlopen', ptr, ['str', 'int']);
  const dlerror = c.func('dlerror', 'str', []);
  const { setDefault } = environment();
  const flags = process.platform === 'darwin' ? 0x1 | 0x8 | 0x80 : 0x1 | 0x100 | 0x1000; // LAZY, GLOBAL, NODELETE
  setDefault('TF_CPP_MIN_LOG_LEVEL', '3');
  // Excluded from the bfloat16 pass, which would otherwise round the values that a step assigns to its variables.
  setDefault(
    'TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_INFERLIST_REMOVE',
    'Sub,Mul,AddV2,Add,Square,AddN,RealDiv',
  );
  const first = Atomics.exchange(processState(), Place.LOADING, 1) === 0;
  const restore = first ? silenceStandardError(c) : () => {};
  let problem: string | undefined;
  try {
    for (const path of [library.framework, library.main]) {
      if (!dlopen(path, flags)) problem ??= (dlerror() as string | null) ?? path;
    }
  } finally {
    restore();
  }
  if (problem === undefined) return;
  throw new EngineError(
    'library-damaged',
    `TensorFlow's libraries in ${library.folder} do not load: ${problem}`,
    {
      remedy: 'delete that folder and run nx run engine:install, or use --engine cpu',
    },
  );
}

/** Redirects standard error to /dev/null, unless CT_ENSEMBLE_VERBOSE is set; the returned function restores it. */
function silenceStandardError(c: LibraryHandle): () => void {
  if (process.env['CT_ENSEMBLE_VERBOSE']) return () => {};
  const dup = c.func('dup', 'int', ['int']);
  const dup2 = c.func('dup2', 'int', ['int', 'int']);
  const close = c.func('close', 'int', ['int']);
  const open = c.func('open', 'int', ['str', 'int']);
  const saved = dup(2) as number;
  const devNull = open('/dev/null', 1) as number;
  if (saved < 0 || devNull < 0) return () => {};
  dup2(devNull, 2);
  return () => {
    dup2(saved, 2);
    close(saved);
    close(devNull);
  };
}
