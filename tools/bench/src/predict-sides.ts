// Starts the sides of bench:predict as child processes that answer requests.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { messageOf, UserError } from '@ct-ensemble/core';
import { pythonEnvironment } from '@ct-ensemble/engine';
import type { PredictAnswer, PredictSettings } from './predict-settings.ts';

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
  const path = fileURLToPath(new URL(script, new URL('../dist/', import.meta.url)));
  const begun = performance.now();
  const child = spawn(command, [path, JSON.stringify(settings)], {
    env: pythonEnvironment(),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(messageOf(error)));
    child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  child.stdin.on('error', () => {}); // a side that has ended is reported by read()
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const read = async (): Promise<PredictAnswer> => {
    const { value } = (await lines.next()) as { value: string | undefined };
    try {
      return JSON.parse(value!) as PredictAnswer;
    } catch {
      const what = value === undefined ? `ended early (${await ended})` : `printed ${JSON.stringify(value)}`;
      throw new UserError(`${command} ${path} ${settings.side} ${what}`, {
        remedy: 'see its messages above; --python names a Python that has what a side needs',
      });
    }
  };
  const first = await read();
  return {
    seconds: (performance.now() - begun) / 1000,
    first,
    ask() {
      child.stdin.write('{}\n');
      return read();
    },
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}
