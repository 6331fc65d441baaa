// Two settings that change results on GPUs: TensorFloat-32 and deterministic ops. TensorFlow keeps both per process.
import { environment } from './native/native.ts';
import type { Switch, TensorFlowApi } from './native/declarations.ts';
import { Place, processState } from './native/process-state.ts';

export interface Numerics {
  /**
   * TensorFlow's deterministic ops: on a GPU the same inputs give the same bytes, somewhat slower. TensorFlow rejects
   * ops that have no deterministic implementation. CPU steps are deterministic without it. Default: the process's
   * current setting, which is initially off.
   */
  deterministic?: boolean;
  /**
   * TensorFloat-32: GPUs since Ampere compute float32 convolutions and matrix products with a 10-bit mantissa, several
   * times faster. Default: off, which keeps full float32 precision. PyTorch enables it for convolutions but not for
   * matrix products; TensorFlow in Python enables it for both. No effect on CPUs.
   */
  tf32?: boolean;
}

/** The settings in force, and a note for each change that also affects other engines of the process. */
export interface NumericsInForce {
  deterministic: boolean;
  tf32: boolean;
  notes: string[];
}

/**
 * Fallback if TensorFlow does not export its switch: variables that it and NVIDIA's libraries read at the first
 * computation.
 */
const variables: Record<Switch, (on: boolean) => [name: string, value: string]> = {
  determinism: (on) => ['TF_DETERMINISTIC_OPS', on ? '1' : '0'],
  tf32: (on) => ['NVIDIA_TF32_OVERRIDE', on ? '1' : '0'],
};
const OFF = 1;
const ON = 2;

/**
 * Applies the requested settings; what is not requested keeps the process's current setting, which is initially off.
 */
export function setNumerics(api: TensorFlowApi, { deterministic, tf32 }: Numerics): NumericsInForce {
  const notes: string[] = [];
  const set = (name: Switch, { place, asked }: { place: number; asked: boolean | undefined }) => {
    const held = Atomics.load(processState(), place);
    const on = asked ?? (held === 0 ? byVariable(name) : held === ON);
    const now = on ? ON : OFF;
    if (Atomics.exchange(processState(), place, now) === now) return on;
    if (held !== 0) notes.push(`${name} is now ${on ? 'on' : 'off'} for every engine of this process`);
    if (asked === undefined && name === 'determinism') return on; // TensorFlow already has this setting
    const change = api.switches[name];
    if (change) change(on);
    else notes.push(setVariable(name, on));
    return on;
  };
  return {
    deterministic: set('determinism', { place: Place.DETERMINISTIC, asked: deterministic }),
    tf32: set('tf32', { place: Place.TF32, asked: tf32 }),
    notes,
  };
}

/** The setting that TensorFlow takes from its own environment variable. */
function byVariable(name: Switch): boolean {
  return name === 'determinism' && ['1', 'true'].includes(process.env['TF_DETERMINISTIC_OPS'] ?? '');
}

function setVariable(name: Switch, on: boolean): string {
  const [variable, value] = variables[name](on);
  environment().set(variable, value);
  return `${name} was set through ${variable}: this takes effect only if nothing was computed in this process before`;
}
