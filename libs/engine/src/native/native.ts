// Native libraries, opened through koffi with stacks deep enough for TensorFlow, and the environment that they read.
import koffi, { type LibraryHandle } from 'koffi';
import { EngineError } from '../errors.ts';

/** XLA compiles on the stack of the call, some hundred frames deep: koffi's own 128 KiB end in a segmentation fault. */
const STACK = 16 << 20;

/** Opens a library; null is the process itself. */
export function openLibrary(
  path: string | null,
  options: Parameters<typeof koffi.load>[1] = {},
): LibraryHandle {
  if ((koffi.config().async_stack_size ?? 0) < STACK) deepenStacks();
  return koffi.load(path, options);
}

/** koffi takes settings only before it opens the first library of the process. */
function deepenStacks() {
  try {
    koffi.config({ async_stack_size: STACK });
  } catch (error) {
    throw new EngineError(
      'platform-unsupported',
      "koffi's stacks are too small for TensorFlow and cannot be changed any more",
      {
        remedy: `open the engine before other native libraries, or first call koffi.config({ async_stack_size: ${STACK} })`,
        cause: error,
      },
    );
  }
}

/** The C library's environment, which native code reads; `process.env` of a worker thread is a copy. */
export function environment() {
  const c = openLibrary(null);
  const set = c.func('setenv', 'int', ['str', 'str', 'int']);
  const get = c.func('getenv', 'str', ['str']);
  return {
    get: (name: string) => get(name) as string | null,
    set: (name: string, value: string) => void set(name, value, 1),
    /** Leaves a value that is there. */
    setDefault: (name: string, value: string) => void set(name, value, 0),
  };
}
