// Opens native libraries through koffi, with stacks large enough for TensorFlow, and accesses the C environment.
import koffi, { type LibraryHandle } from 'koffi';
import { EngineError } from '../errors.ts';

/**
 * Bytes of the stack of asynchronous calls. XLA compiles on it, hundreds of frames deep; koffi's default of 128 KiB
 * overflows.
 */
const STACK_BYTES = 16 << 20;

/** Opens a library; the path null stands for the process itself. */
export function openLibrary(
  path: string | null,
  options: Parameters<typeof koffi.load>[1] = {},
): LibraryHandle {
  if ((koffi.config().async_stack_size ?? 0) < STACK_BYTES) enlargeStacks();
  return koffi.load(path, options);
}

/** koffi accepts settings only before the first library of the process is opened. */
function enlargeStacks() {
  try {
    koffi.config({ async_stack_size: STACK_BYTES });
  } catch (error) {
    throw new EngineError(
      'platform-unsupported',
      "koffi's stacks are too small for TensorFlow and can no longer be changed",
      {
        remedy: `open the engine before other native libraries, or first call koffi.config({ async_stack_size: ${STACK_BYTES} })`,
        cause: error,
      },
    );
  }
}

/** The process's environment as native code sees it; `process.env` of a worker thread is only a copy. */
export function environment() {
  const c = openLibrary(null);
  const set = c.func('setenv', 'int', ['str', 'str', 'int']);
  const get = c.func('getenv', 'str', ['str']);
  return {
    get: (name: string) => get(name) as string | null,
    set: (name: string, value: string) => void set(name, value, 1),
    /** Sets the variable only if it is unset. */
    setDefault: (name: string, value: string) => void set(name, value, 0),
  };
}
