// Starts the sides of bench:predict as child processes that answer requests.
import type { PredictAnswer, PredictSettings } from './predict-settings.ts';
import { startProcess } from './side-process.ts';

export interface PredictSide {
  /** Seconds from the start of the process to its first answer. */
  seconds: number;
  first: PredictAnswer;
  /** Prepares and predicts the scan once more. */
  ask(): Promise<PredictAnswer>;
  close(): Promise<void>;
}

/**
 * Starts a side, in Python unless it is this project's, and awaits its first answer.
 * @throws {UserError} if the process ends or prints something else.
 */
export async function startPredictSide(settings: PredictSettings, python: string): Promise<PredictSide> {
  const [command, script] =
    settings.side === 'own' ? [process.execPath, './predict-own.js'] : [python, '../predict-side.py'];
  const begun = performance.now();
  const { read, ask, close } = startProcess(command, script, {
    settings,
    side: settings.side,
    remedy: 'see its messages above; --python names a Python that has what a side needs',
  });
  const first = await read<PredictAnswer>();
  return {
    seconds: (performance.now() - begun) / 1000,
    first,
    ask: () => ask<PredictAnswer>({}),
    close,
  };
}
