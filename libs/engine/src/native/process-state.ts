// State shared by all threads of the process, for settings that TensorFlow keeps per process: integers in native
// memory. Threads find its address in the C environment (`process.env` of a worker thread is only a copy).
import koffi from 'koffi';
import { environment, openLibrary } from './native.ts';

/** Indices into the state; the value 0 means that nothing has been written there yet. */
export const Place = {
  /** Number of CPU threads that the first context asked for. */
  THREADS: 0,
  /** Settings of numerics.ts: 1 is off, 2 is on. */
  TF32: 1,
  DETERMINISTIC: 2,
  /** Division of the GPUs: MiB per share, or −1 for whole GPUs. */
  GPU_SHARE: 3,
  /** Number of GPUs × 65536 + number of shares per GPU. */
  GPU_COUNTS: 4,
  /** 1 as soon as a thread has begun to load TensorFlow. */
  LOADING: 5,
  /** First of the entries for the shares of GPUs, which reach to the end: 1 while an engine holds the share. */
  FIRST_GPU_SHARE: 64,
} as const;

const PLACES = 1024;

let state: Int32Array | undefined;

/**
 * The shared state, initially zeros. Access it only with `Atomics`, since several threads write to it.
 *
 * The environment is changed once per process, before TensorFlow's threads read it. The variable's name contains the
 * process id, because child processes inherit the environment.
 */
export function processState(): Int32Array {
  if (state) return state;
  const { get, setDefault } = environment();
  const calloc = openLibrary(null).func('calloc', 'void *', ['size_t', 'size_t']);
  const name = `CT_ENSEMBLE_STATE_${process.pid}`;
  if (get(name) === null) setDefault(name, String(calloc(PLACES, 4))); // the first thread's address stays
  state = new Int32Array(koffi.view(BigInt(get(name)!), PLACES * 4));
  return state;
}

/** Writes the value if none has been written yet; returns the value in force. */
export function agreeOn(place: number, value: number): number {
  return Atomics.compareExchange(processState(), place, 0, value) || value;
}
