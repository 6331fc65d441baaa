// Two switches that change numbers on GPUs: TensorFloat-32, and ops that give the same bytes at every run. TensorFlow has
// both once a process.
import { environment } from './native/native.ts';
import type { Switch, TensorFlowApi } from './native/declarations.ts';
import { Place, processState } from './native/process-state.ts';

export interface Numerics {
  /**
   * TensorFlow's deterministic ops: on a GPU the same inputs give the same bytes, somewhat slower; an op that cannot is
   * refused by TensorFlow. CPU steps are deterministic without it. Default: as the process has it, off at first.
   */
  deterministic?: boolean;
  /**
   * TensorFloat-32: since Ampere a GPU's float32 convolutions and matrix products with 10 bits of mantissa, several
   * times as fast. Default: off, so that float32 is float32; PyTorch has it on in convolutions and off in matrix
   * products, TensorFlow in Python on in both. Without effect on CPUs.
   */
  tf32?: boolean;
}

/** What holds, and a line for each thing that another engine of the process would not expect. */
export interface NumericsInForce {
  deterministic: boolean;
  tf32: boolean;
  notes: string[];
}

/** Where TensorFlow's own switch is not exported: variables that it and NVIDIA's libraries read when they first compute. */
const variables: Record<Switch, (on: boolean) => [name: string, value: string]> = {
  determinism: (on) => ['TF_DETERMINISTIC_OPS', on ? '1' : '0'],
  tf32: (on) => ['NVIDIA_TF32_OVERRIDE', on ? '1' : '0'],
};
const OFF = 1;
const ON = 2;

/** Sets the switches: as asked for, else as an engine of this process had them, else off. */
export function setNumerics(api: TensorFlowApi, { deterministic, tf32 }: Numerics): NumericsInForce {
  const notes: string[] = [];
  const set = (name: Switch, { place, asked }: { place: number; asked: boolean | undefined }) => {
    const held = Atomics.load(processState(), place);
    const on = asked ?? (held === 0 ? byVariable(name) : held === ON);
    const now = on ? ON : OFF;
    if (Atomics.exchange(processState(), place, now) === now) return on;
    if (held !== 0) notes.push(`${name} is now ${on ? 'on' : 'off'} for every engine of this process`);
    if (asked === undefined && name === 'determinism') return on; // as TensorFlow has it by itself
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

/** TensorFlow's own variable counts where nobody asked. */
function byVariable(name: Switch): boolean {
  return name === 'determinism' && ['1', 'true'].includes(process.env['TF_DETERMINISTIC_OPS'] ?? '');
}

function setVariable(name: Switch, on: boolean): string {
  const [variable, value] = variables[name](on);
  environment().set(variable, value);
  return `${name} was set through ${variable}: it holds if nothing was computed in this process before`;
}
