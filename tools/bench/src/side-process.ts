// A child process that answers requests, a line of JSON each, on its standard input and output.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { messageOf, UserError } from '@ct-ensemble/core';
import { pythonEnvironment } from '@ct-ensemble/engine';

/** Milliseconds that a process may take to end before it is killed. */
const patience = 30_000;

export interface SideProcess {
  /** The next line that the process prints. @throws {UserError} if it ends or prints something else than JSON. */
  read<T>(): Promise<T>;
  /** Sends a request and reads the answer. */
  ask<T>(question: object): Promise<T>;
  /** The number of the process; undefined if it did not start. */
  pid: number | undefined;
  /** Ends the process. */
  close(): Promise<void>;
}

/** Starts `script`, a path relative to dist/, with the settings as its argument. Errors name the `side`, if given, and the remedy. */
export function startProcess(
  command: string,
  script: string,
  { settings, side, remedy }: { settings: object; side?: string; remedy: string },
): SideProcess {
  const path = fileURLToPath(new URL(script, new URL('../dist/', import.meta.url)));
  const child = spawn(command, [path, JSON.stringify(settings)], {
    env: pythonEnvironment(),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(messageOf(error)));
    child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  child.stdin.on('error', () => {}); // a process that has ended is reported by read(), which then gets no answer
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const read = async <T>(): Promise<T> => {
    const { value } = (await lines.next()) as { value: string | undefined };
    try {
      return JSON.parse(value!) as T;
    } catch {
      const what = value === undefined ? `ended early (${await ended})` : `printed ${JSON.stringify(value)}`;
      throw new UserError([command, path, ...(side ? [side] : []), what].join(' '), { remedy });
    }
  };
  return {
    read,
    pid: child.pid,
    ask<T>(question: object): Promise<T> {
      child.stdin.write(`${JSON.stringify(question)}\n`);
      return read<T>();
    },
    async close() {
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), patience);
      await ended;
      clearTimeout(timer);
    },
  };
}
