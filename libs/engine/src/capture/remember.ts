// Saves the values of all tfjs variables and restores them.
import tf, { type DataId, type Tensor, type Variable } from '@tensorflow/tfjs';

export interface Remembered {
  variable: Variable;
  /** A clone that shares the variable's data. */
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

/** Undoes all assignments made since, and disposes the saved values. */
export function restoreVariables(remembered: readonly Remembered[]) {
  for (const { variable, value, dataId } of remembered) {
    if (!variable.isDisposed && variable.dataId !== dataId) variable.assign(value);
    value.dispose();
  }
}
