// All of tfjs's variables as they are now, and back again.
import tf, { type DataId, type Tensor, type Variable } from '@tensorflow/tfjs';

export interface Remembered {
  variable: Variable;
  /** Shares the variable's present value. */
  value: Tensor;
  dataId: DataId;
}

export function registeredVariables(): Variable[] {
  return Object.values(tf.engine().state.registeredVariables);
}

export function rememberVariables(): Remembered[] {
  return registeredVariables().map((variable) => ({
    variable,
    value: tf.keep(tf.clone(variable)),
    dataId: variable.dataId,
  }));
}

/** Undoes what was assigned since, and lets go of the values. */
export function restoreVariables(remembered: readonly Remembered[]) {
  for (const { variable, value, dataId } of remembered) {
    if (!variable.isDisposed && variable.dataId !== dataId) variable.assign(value);
    value.dispose();
  }
}
