// What all threads of a process must agree on, because TensorFlow has it once a process: numbers in native memory, whose
// address the threads find in C's environment (`process.env` of a worker thread is a copy).
import koffi from 'koffi';
import { environment, openLibrary } from './native.ts';

/** Places in the state; 0 means that nobody has written there yet. */
export const Place = {
  /** CPU threads, as the first context asked for. */
  THREADS: 0,
  /** `Switch` values. */
  TF32: 1,
  DETERMINISTIC: 2,
  /** How the GPUs are divided: MiB a share, or `WHOLE`. */
  GPU_SHARE: 3,
  /** Number of GPUs × 65536 + shares of each. */
  GPU_COUNTS: 4,
  /** 1 once a thread has begun to load TensorFlow. */
  LOADING: 5,
  /** From here to the end, one place a share: 1 while an engine has it. */
  FIRST_GPU_SHARE: 64,
} as const;

const PLACES = 1024;

let state: Int32Array | undefined;

/**
 * The state: zeros at first. Several threads write, so only with `Atomics`.
 * The environment changes once a process, before TensorFlow's threads read it; its name has the process's number, since
 * a child process inherits the environment.
 */
export function processState(): Int32Array {
  if (state) return state;
  const { get, setDefault } = environment();
  const calloc = openLibrary(null).func('calloc', 'void *', ['size_t', 'size_t']);
  const name = `CT_ENSEMBLE_STATE_${process.pid}`;
  if (get(name) === null) setDefault(name, String(calloc(PLACES, 4))); // the first thread's stays
  state = new Int32Array(koffi.view(BigInt(get(name)!), PLACES * 4));
  return state;
}

/** Writes a value where there is none; returns the one that holds. */
export function agreeOn(place: number, value: number): number {
  return Atomics.compareExchange(processState(), place, 0, value) || value;
}
