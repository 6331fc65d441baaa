// The two sides as child processes that wait for their turn.
import { spawn } from 'node:child_process';
import { cpus } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { messageOf, UserError } from '@ct-ensemble/core';
import { pythonEnvironment } from '@ct-ensemble/engine';
import type { Answer, Hello, Settings } from './settings.ts';

export interface Side {
  library: string;
  /** From the start of the process to its first step done. */
  start: Turn;
  /** The first step alone. */
  firstStep: Turn;
  /** Does so many steps, all members at once. */
  run(steps: number): Promise<Turn>;
  close(): Promise<void>;
}

export interface Turn extends Omit<Answer, 'cpu'> {
  /** Wall time until the last member was done. */
  seconds: number;
  /** Share of the machine's CPU time meanwhile that other programs took. */
  others: number;
}

export type OpenSide = (settings: Settings) => Promise<Side>;

/** Starts sides; PyTorch's with this Python. Each has done its first step when it is given. */
export const sidesWith =
  (python: string): OpenSide =>
  async (settings) => {
    const started = clocks();
    const ours = settings.library === 'own';
    const processes = ours
      ? [start(process.execPath, './own-side.js', settings)]
      : Array.from({ length: settings.members }, () => start(python, '../pytorch-side.py', settings));
    const close = async () => void (await Promise.all(processes.map((side) => side.close())));
    let cpuBefore = 0;
    const run = async (steps: number): Promise<Turn> => {
      const before = clocks();
      const answers = await Promise.all(processes.map((side) => side.ask<Answer>({ steps })));
      const cpuNow = sum(answers.map(({ cpu }) => cpu));
      const times = since(before, cpuNow - cpuBefore);
      cpuBefore = cpuNow;
      const peaks = answers.flatMap(({ peak }) => peak ?? []);
      return {
        ...times,
        values: answers.flatMap(({ values }) => values),
        compute: answers[0]!.compute,
        peak: peaks.length < answers.length ? null : sum(peaks),
      };
    };
    try {
      const [hello] = await Promise.all(processes.map((side) => side.read<Hello>()));
      const firstStep = await run(1);
      return { ...hello!, firstStep, start: { ...firstStep, ...since(started, cpuBefore) }, run, close };
    } catch (error) {
      await close();
      throw error;
    }
  };

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** Wall time, and the time that all cores together were idle; seconds. */
const clocks = () => ({
  wall: performance.now() / 1000,
  idle: sum(cpus().map(({ times }) => times.idle)) / 1000,
});

/** What has passed since then, in which a side took `cpu` seconds of CPU time. */
function since(before: ReturnType<typeof clocks>, cpu: number): Pick<Turn, 'seconds' | 'others'> {
  const { wall, idle } = clocks();
  const seconds = wall - before.wall;
  const all = seconds * cpus().length;
  return { seconds, others: Math.max(0, all - (idle - before.idle) - cpu) / all };
}

/** How long a side may take to end after its last step before it is killed. */
const patience = 30_000;

function start(command: string, script: string, settings: Settings) {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(command, [path, JSON.stringify(settings)], {
    env: pythonEnvironment(),
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = new Promise<string>((resolve) => {
    child.on('error', (error) => resolve(messageOf(error)));
    child.on('exit', (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  child.stdin.on('error', () => {}); // a side that is gone is told by the answer that does not come
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const read = async <T>(): Promise<T> => {
    const { value } = (await lines.next()) as { value: string | undefined };
    try {
      return JSON.parse(value!) as T;
    } catch {
      const what = value === undefined ? `ended early (${await ended})` : `said ${JSON.stringify(value)}`;
      throw new UserError(`${command} ${path} ${what}`, { remedy: 'see its messages above' });
    }
  };
  return {
    read,
    ask<T>(question: { steps: number }): Promise<T> {
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
