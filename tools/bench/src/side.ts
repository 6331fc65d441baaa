// Starts the two sides of a comparison as child processes that wait for requests.
import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import type { Answer, Hello, Settings } from './settings.ts';
import { startProcess } from './side-process.ts';

export interface Side {
  /** Library, version and device. */
  library: string;
  /** The time from the start of the process to the end of its first step. */
  start: Turn;
  /** The first step alone. */
  firstStep: Turn;
  /** Does this many steps, with all members at the same time. */
  run(steps: number): Promise<Turn>;
  /** GPU memory of the side's processes in bytes, or null if nvidia-smi does not report it. Neither library returns memory. */
  gpuMemory?(): number | null;
  /** Ends the processes of the side. */
  close(): Promise<void>;
}

/** The time and the result of consecutive steps. */
export interface Turn extends Omit<Answer, 'cpu'> {
  /** Wall time until the last member had finished. */
  seconds: number;
  /** Share of the machine's CPU time that other programs took meanwhile, 0 … 1. */
  others: number;
}

export type OpenSide = (settings: Settings) => Promise<Side>;

/** Returns a function that starts a side, PyTorch's with this Python, and lets it do its first step. */
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
      return {
        ...hello!,
        firstStep,
        start: { ...firstStep, ...since(started, cpuBefore) },
        run,
        close,
        gpuMemory: () => gpuMemoryOf(processes.map(({ pid }) => pid)),
      };
    } catch (error) {
      await close();
      throw error;
    }
  };

/** GPU memory of these processes together in bytes, as nvidia-smi reports it; null if one of them is not in its list. */
function gpuMemoryOf(pids: readonly (number | undefined)[]): number | null {
  const query = ['--query-compute-apps=pid,used_memory', '--format=csv,noheader,nounits'];
  const { status, stdout } = spawnSync('nvidia-smi', query, { encoding: 'utf8', timeout: 20_000 });
  if (status !== 0) return null;
  const used = new Map(stdout.split('\n').map((line) => line.split(',').map(Number) as [number, number]));
  const bytes = sum(pids.map((pid) => (used.get(pid ?? 0) ?? Number.NaN) * 2 ** 20));
  return Number.isFinite(bytes) ? bytes : null;
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** Wall time, and the idle time of all cores together, in seconds. */
const clocks = () => ({
  wall: performance.now() / 1000,
  idle: sum(cpus().map(({ times }) => times.idle)) / 1000,
});

/** The time since `before`, and the share of other programs, given that the side took `cpu` seconds of CPU time. */
function since(before: ReturnType<typeof clocks>, cpu: number): Pick<Turn, 'seconds' | 'others'> {
  const { wall, idle } = clocks();
  const seconds = wall - before.wall;
  const all = seconds * cpus().length;
  return { seconds, others: Math.max(0, all - (idle - before.idle) - cpu) / all };
}

const start = (command: string, script: string, settings: Settings) =>
  startProcess(command, script, { settings, remedy: 'see its messages above' });
